//! Tables whose columns are the entrants, and the same for programs.

use serde_json::{Map, Value, json};

use crate::figures::Quartiles;

/// What is the same each time.
pub fn exact(value: f64) -> Quartiles {
    Quartiles { median: value, p25: value, p75: value }
}

/// What is exact is shown alone.
pub fn cell(figure: &Quartiles) -> String {
    let [median, p25, p75] = [figure.median, figure.p25, figure.p75].map(number);
    if figure.p25 == figure.p75 { median } else { format!("{median} ({p25}–{p75})") }
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
    pub figures: Vec<(&'static str, Quartiles)>,
}

impl Row {
    pub fn figure(&self, name: &str) -> Option<&Quartiles> {
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
    let cell = |name: &&str| row.figure(name).map_or("–".into(), cell);
    let cells: Vec<_> = columns.iter().map(cell).collect();
    println!("| {} | {} |", row.name, cells.join(" | "));
}

/// All of it.
pub fn json(rows: &[Row]) -> String {
    let rows: Map<_, _> = rows.iter().map(|row| (row.name.clone(), figures(row))).collect();
    format!("{:#}\n", Value::Object(rows))
}

fn figures(row: &Row) -> Value {
    let figure = |Quartiles { median, p25, p75 }: &Quartiles| json!({"median": median, "p25": p25, "p75": p75});
    row.figures.iter().map(|(name, quartiles)| (name.to_string(), figure(quartiles))).collect::<Map<_, _>>().into()
}
