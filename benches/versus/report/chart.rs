//! The chart: a panel for each question, with a bar for each crate.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, SegmentValue};
use plotters::prelude::*;
use serde_json::Value;
use versus::own;

use crate::Result;
use crate::tables::quartiles;

/// What a panel shows.
struct Panel {
    title: &'static str,
    axis: &'static str,
    part: &'static str,
    row: &'static str,
    /// What is 1, if ratios are shown.
    unit: Option<&'static str>,
    /// Whether each line of the axis is ten times the one before.
    is_logarithmic: bool,
}

const PANELS: [Panel; 6] = [
    Panel {
        title: "Echo of 20 B over 64 connections",
        axis: "CPU time of the server, raw-tokio = 1",
        part: "sockets",
        row: "20 B, 64 connections, 1 in flight",
        unit: Some("raw-tokio"),
        is_logarithmic: false,
    },
    Panel {
        title: "Echo of 16 KiB over 64 connections",
        axis: "CPU time of the server, raw-tokio = 1",
        part: "sockets",
        row: "16 KiB, 64 connections, 1 in flight",
        unit: Some("raw-tokio"),
        is_logarithmic: false,
    },
    Panel {
        title: "A text of 125 B is received, in memory",
        axis: "nanoseconds",
        part: "in_memory",
        row: "server receives text, 125 B",
        unit: None,
        is_logarithmic: false,
    },
    Panel {
        title: "A text of 1 KiB to many receivers",
        axis: "CPU time per delivery, raw-tokio = 1",
        part: "fan_out",
        row: "over TCP, 1 KiB",
        unit: Some("raw-tokio"),
        is_logarithmic: false,
    },
    Panel {
        title: "The same, compressed",
        axis: "CPU time per delivery, raw-tokio = 1",
        part: "fan_out",
        row: "over TCP, 1 KiB, compressed",
        unit: Some("raw-tokio"),
        is_logarithmic: false,
    },
    Panel {
        title: "An idle connection",
        axis: "bytes of memory, logarithmic",
        part: "memory",
        row: "idle, pages",
        unit: None,
        is_logarithmic: true,
    },
];

/// In pixels.
const WIDTH: u32 = 1200;
const HEIGHT: u32 = 1080;
const NAMES: u32 = 170;

/// Of the palette of Okabe and Ito, which nearly everyone can tell apart. They differ in lightness as well.
const OWN: RGBColor = RGBColor(0x00, 0x72, 0xb2);
const PEER: RGBColor = RGBColor(0xe6, 0x9f, 0x00);
const FLOOR: RGBColor = RGBColor(0x99, 0x99, 0x99);

/// On white, so that it is as readable on a dark page.
pub fn draw(results: &Value) -> Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        root.fill(&WHITE)?;
        let (legend, panels) = root.split_vertically(36);
        draw_legend(&legend)?;
        for (panel, area) in PANELS.iter().zip(panels.split_evenly((3, 2))) {
            draw_panel(panel, results, &area)?;
        }
        root.present()?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_legend(area: &Area<'_>) -> Result<()> {
    let texts = [(OWN, "this crate"), (PEER, "others"), (FLOOR, "without WebSockets"), (BLACK, "shorter is better")];
    for (index, (color, text)) in texts.into_iter().enumerate() {
        let x = 40 + 200 * index as i32;
        if color != BLACK {
            area.draw(&Rectangle::new([(x, 14), (x + 14, 28)], color.filled()))?;
        }
        area.draw(&Text::new(text, (x + 22, 14), ("sans-serif", 16).into_font()))?;
    }
    Ok(())
}

fn draw_panel(panel: &Panel, results: &Value, area: &Area<'_>) -> Result<()> {
    let bars = bars(panel, results);
    if bars.is_empty() {
        let text = format!("{}: not measured", panel.title);
        return Ok(area.draw(&Text::new(text, (20, 20), ("sans-serif", 16).into_font()))?);
    }
    let (least, most) = bars.iter().fold((f64::MAX, 0.0_f64), |(least, most), bar| (least.min(bar.1), most.max(bar.1)));
    if panel.is_logarithmic {
        let start = 10_f64.powf(least.max(1.0).log10().floor());
        draw_bars(panel, &bars, (start..most * 4.0).log_scale(), start, area)
    } else {
        draw_bars(panel, &bars, 0.0..most * 1.15, 0.0, area)
    }
}

/// The names of a panel, from the last to the first, and their values.
fn bars(panel: &Panel, results: &Value) -> Vec<(String, f64)> {
    let Some(row) = results[panel.part][panel.row].as_object() else { return Vec::new() };
    let median = |name: &str| row.get(name).and_then(quartiles).map(|figure| figure.median);
    let unit = panel.unit.map_or(Some(1.0), median);
    let bar = |name: &String| Some((name.clone(), median(name)? / unit?));
    row.keys().rev().filter(|name| !own::is_variant(name)).filter_map(bar).collect()
}

fn draw_bars<X>(panel: &Panel, bars: &[(String, f64)], axis: X, start: f64, area: &Area<'_>) -> Result<()>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: plotters::coord::ranged1d::ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 18))
        .margin(8)
        .x_label_area_size(44)
        .y_label_area_size(NAMES)
        .build_cartesian_2d(axis, (0..bars.len() - 1).into_segmented())?;
    let name = |at: &SegmentValue<usize>| match at {
        SegmentValue::CenterOf(index) => bars.get(*index).map(|(name, _)| name.clone()).unwrap_or_default(),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(panel.axis)
        .y_labels(bars.len() + 1)
        .y_label_formatter(&name)
        .x_label_formatter(&|value| short(*value))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (index, (name, value)) in bars.iter().enumerate() {
        let (from, to) = (SegmentValue::Exact(index), SegmentValue::Exact(index + 1));
        let mut bar = Rectangle::new([(start, from), (*value, to)], color(name).filled());
        bar.set_margin(2, 2, 0, 0);
        chart.draw_series([bar])?;
        let label = EmptyElement::at((*value, SegmentValue::CenterOf(index)))
            + Text::new(short(*value), (4, -6), ("sans-serif", 13).into_font());
        chart.draw_series([label])?;
    }
    Ok(())
}

fn color(name: &str) -> RGBColor {
    match name {
        "copy" | "UTF-8" | "raw-tokio" | "raw-epoll" => FLOOR,
        name if name.starts_with("sockeye") => OWN,
        _ => PEER,
    }
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.0}M", value / 1e6),
        value if value >= 1e4 => format!("{:.0}k", value / 1e3),
        value if value >= 20.0 || value == 0.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
