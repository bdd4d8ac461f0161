//! A part's figures as a Markdown table.

use serde_json::{Map, Value};
use versus::figures::Quartiles;
use versus::rows::cell;

/// A line for each row, a column for whoever has a figure in some row, if the table `has` it.
pub fn table(rows: &Map<String, Value>, has: fn(&str) -> bool) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for name in rows.values().filter_map(Value::as_object).flat_map(Map::keys) {
        if has(name) && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut text = format!("| | {} |\n|---|{}\n", columns.join(" | "), "--:|".repeat(columns.len()));
    for (name, row) in rows {
        let cells = columns.iter().map(|column| quartiles(&row[column]).map_or("–".into(), |figure| cell(&figure)));
        text += &format!("| {name} | {} |\n", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

/// A figure; where there are several, the CPU time.
pub fn quartiles(figure: &Value) -> Option<Quartiles> {
    let figure = figure.get("cpu_ns").unwrap_or(figure);
    let number = |name| figure.get(name).and_then(Value::as_f64);
    Some(Quartiles { median: number("median")?, p25: number("p25")?, p75: number("p75")? })
}
