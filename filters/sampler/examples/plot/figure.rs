//! The figure: what was offered, what was recorded of it, and the probability, over time.

use crate::simulation::{Arrivals, Phase, Second, Simulation};
use sluicegate_sampler::load::{Class, Formula};
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const PANEL: f64 = 150.0;
const GAP: f64 = 34.0;

/// Every so many seconds are one point of a line.
const POINT: usize = 5;

/// A logarithmic axis and what is drawn by it.
struct Panel {
    title: &'static str,
    colour: &'static str,
    /// Powers of ten.
    from: i32,
    to: i32,
    /// The value of some seconds.
    value: fn(&[Second]) -> f64,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "offered, requests/s",
        colour: "#57606a",
        from: 0,
        to: 5,
        value: |seconds| per_second(seconds, |second| second.offered.into()),
    },
    Panel {
        title: "recorded, requests/s",
        colour: "#0969da",
        from: 0,
        to: 4,
        value: |seconds| per_second(seconds, |second| second.sampled.into()),
    },
    Panel { title: "probability", colour: "#bc4c00", from: -3, to: 0, value: probability },
];

/// The default policy on four workers, minute by minute.
pub(crate) fn draw() -> String {
    let phases = [
        ("10/s", Phase::steady(60, 10.0)),
        ("1,000/s", Phase::steady(150, 1_000.0)),
        ("to 100,000/s", Phase::ramp(90, 1_000.0, 100_000.0)),
        ("min holds", Phase::steady(90, 100_000.0)),
        ("500/s", Phase::steady(150, 500.0)),
        ("25 % errors", Phase::failing(90, 500.0, 0.25)),
        ("no errors", Phase::steady(120, 500.0)),
    ];
    let class = Class::new(1, 60, Formula::default());
    let only: Vec<Phase> = phases.iter().map(|(_, phase)| *phase).collect();
    let workers = &[0.4, 0.3, 0.2, 0.1];
    let seconds = Simulation { class, workers, arrivals: Arrivals::Even, phases: &only }.run();

    let mut svg = String::new();
    let height = panel_top(PANELS.len()) + 6.0;
    let x = |second: f64| LEFT + (WIDTH - LEFT - RIGHT) * second / seconds.len() as f64;
    line(
        &mut svg,
        format_args!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="#24292f">"##
        ),
    );
    line(
        &mut svg,
        format_args!("<title>Adaptive sampling under a load that changes: target 100/s, window 60 s</title>"),
    );
    line(&mut svg, format_args!(r##"<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##));

    let bottom = panel_top(PANELS.len() - 1) + PANEL;
    let mut begin = 0.0;
    for (name, phase) in &phases {
        let (at, seconds) = (x(begin), f64::from(phase.seconds));
        line(
            &mut svg,
            format_args!(r##"<path d="M{at:.1} {}V{bottom}" stroke="#d0d7de" stroke-dasharray="2 3"/>"##, TOP - 24.0),
        );
        line(&mut svg, format_args!(r#"<text x="{:.1}" y="{}" font-size="11">{name}</text>"#, at + 4.0, TOP - 26.0));
        begin += seconds;
    }
    for (number, panel) in PANELS.iter().enumerate() {
        panel.draw(&mut svg, panel_top(number), &seconds, &x);
    }
    for minute in 0..=seconds.len() / 60 {
        let at = x(minute as f64 * 60.0);
        line(
            &mut svg,
            format_args!(r#"<text x="{at:.1}" y="{}" text-anchor="middle">{minute} min</text>"#, bottom + 18.0),
        );
    }
    line(&mut svg, format_args!("</svg>"));
    svg
}

impl Panel {
    fn draw(&self, svg: &mut String, top: f64, seconds: &[Second], x: &dyn Fn(f64) -> f64) {
        let end = WIDTH - RIGHT;
        let y = |value: f64| {
            let part = (value.max(1e-9).log10() - f64::from(self.from)) / f64::from(self.to - self.from);
            top + PANEL * (1.0 - part.clamp(0.0, 1.0))
        };
        line(svg, format_args!(r#"<text x="{LEFT}" y="{}" font-weight="bold">{}</text>"#, top - 6.0, self.title));
        for power in self.from..=self.to {
            let at = y(10_f64.powi(power));
            let label = match power {
                0.. => thousands(10_u32.pow(power.unsigned_abs())),
                below => format!("0.{}1", "0".repeat(below.unsigned_abs() as usize - 1)),
            };
            line(svg, format_args!(r##"<path d="M{LEFT} {at:.1}H{end}" stroke="#eaeef2"/>"##));
            line(svg, format_args!(r#"<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 6.0, at + 4.0));
        }
        if self.title.starts_with("recorded") {
            let (above, below) = (y(110.0), y(90.0));
            let height = below - above;
            line(
                svg,
                format_args!(
                    r##"<rect x="{LEFT}" y="{above:.1}" width="{}" height="{height:.1}" fill="#1a7f37" opacity="0.25"/>"##,
                    end - LEFT
                ),
            );
            line(
                svg,
                format_args!(
                    r##"<text x="{}" y="{:.1}" text-anchor="end" font-size="11" fill="#1a7f37">target ± 10 %</text>"##,
                    end,
                    above - 3.0
                ),
            );
        }
        let points: Vec<String> = (0..)
            .zip(seconds.chunks(POINT))
            .map(|(number, chunk)| {
                let middle = f64::from(number * POINT as u32) + chunk.len() as f64 / 2.0;
                format!("{:.1},{:.1}", x(middle), y((self.value)(chunk)))
            })
            .collect();
        line(
            svg,
            format_args!(
                r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="2" stroke-linejoin="round"/>"#,
                points.join(" "),
                self.colour
            ),
        );
    }
}

fn panel_top(number: usize) -> f64 {
    TOP + 10.0 + (PANEL + GAP) * number as f64
}

fn per_second(seconds: &[Second], of: impl Fn(&Second) -> f64) -> f64 {
    seconds.iter().map(of).sum::<f64>() / seconds.len() as f64
}

fn probability(seconds: &[Second]) -> f64 {
    per_second(seconds, |second| second.expected) / per_second(seconds, |second| second.offered.into())
}

fn thousands(number: u32) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        thousands => format!("{thousands},{:03}", number % 1_000),
    }
}

fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(svg, "{text}");
}
