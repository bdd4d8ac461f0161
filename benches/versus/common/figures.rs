//! What was measured, for people and for programs.

use std::fmt::Write;

/// A median of samples, and their quartiles.
#[derive(Clone, Copy)]
pub struct Figure {
    pub median: f64,
    pub p25: f64,
    pub p75: f64,
}

impl Figure {
    /// # Panics
    /// There is no sample.
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let quantile = |fraction: f64| samples[(fraction * (samples.len() - 1) as f64).round() as usize];
        Self { median: quantile(0.5), p25: quantile(0.25), p75: quantile(0.75) }
    }

    /// What is the same each time.
    pub fn exact(value: f64) -> Self {
        Self { median: value, p25: value, p75: value }
    }

    fn cell(&self) -> String {
        let [median, p25, p75] = [self.median, self.p25, self.p75].map(number);
        if self.p25 == self.p75 { median } else { format!("{median} ({p25}–{p75})") }
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size < 0.1 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// One line of a table: a figure of each entrant who can do it.
pub struct Row {
    pub name: String,
    pub figures: Vec<(&'static str, Figure)>,
}

impl Row {
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|(of, _)| *of == name).map(|(_, figure)| figure)
    }
}

/// Prints a table's head.
pub fn head(what: &str, columns: &[&str]) {
    println!("| {what} | {} |", columns.join(" | "));
    println!("|---|{}", "--:|".repeat(columns.len()));
}

/// Prints a line. Who cannot do it has a dash.
pub fn line(row: &Row, columns: &[&str]) {
    let cell = |name: &&str| row.figure(name).map_or("–".into(), Figure::cell);
    let cells: Vec<_> = columns.iter().map(cell).collect();
    println!("| {} | {} |", row.name, cells.join(" | "));
}

/// All rows. No name has a character that JSON escapes.
pub fn json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| format!("  \"{}\": {{\n{}\n  }}", row.name, figures(row))).collect();
    format!("{{\n{}\n}}\n", rows.join(",\n"))
}

fn figures(row: &Row) -> String {
    let mut lines = String::new();
    for (name, Figure { median, p25, p75 }) in &row.figures {
        let comma = if lines.is_empty() { "" } else { ",\n" };
        let _ =
            write!(lines, "{comma}    \"{name}\": {{\"median\": {median:.3}, \"p25\": {p25:.3}, \"p75\": {p75:.3}}}");
    }
    lines
}
