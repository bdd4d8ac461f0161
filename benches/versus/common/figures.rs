//! Figures and how they are shown.

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What nobody can do without.
    Floor,
    Own,
    Peer,
    /// What is no part of this.
    Foreign,
}

/// The median of some samples, and their quartiles.
#[derive(Clone, Copy)]
pub struct Quartiles {
    pub median: f64,
    pub p25: f64,
    pub p75: f64,
}

impl Quartiles {
    /// Of at least one sample.
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let quantile = |fraction: f64| samples[(fraction * (samples.len() - 1) as f64).round() as usize];
        Self { median: quantile(0.5), p25: quantile(0.25), p75: quantile(0.75) }
    }

    /// For a table.
    pub fn cell(self) -> String {
        let [median, p25, p75] = [self.median, self.p25, self.p75].map(number);
        format!("{median} ({p25}–{p75})")
    }
}

/// In three digits or more.
pub fn number(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// Two figures as a ratio, as far as both are there.
pub fn ratio(figure: Option<f64>, to: Option<f64>) -> String {
    figure.zip(to).map_or("–".into(), |(figure, to)| format!("{:.2}", figure / to))
}
