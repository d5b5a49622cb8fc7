//! The same as a picture: processor time per request as horizontal bars, with intervals.

use std::fmt::Write as _;

use crate::cases::{BARE, CONTROL, OTHER, OURS, Work};
use crate::report::Summary;

const WIDTH: f64 = 840.0;
/// Where bars begin, and the room for figures behind the longest.
const LEFT: f64 = 260.0;
const RIGHT: f64 = 130.0;
const BAR: f64 = 14.0;
const LINE: f64 = 20.0;

/// What is drawn, under which heading. Each panel has a scale of its own.
const PANELS: [(&str, &[Work]); 2] = [
    (
        "on connections that stay open",
        &[Work::Forward, Work::MemorySession, Work::SealedSession, Work::Redirect, Work::Http2],
    ),
    ("on a new connection", &[Work::Connection]),
];

/// Colours as in the other picture of the manual, for light and dark pages.
const STYLE: &str = "\
text{fill:#1c2430}
.soft{fill:#566172;font-size:12px}
.head{font-weight:600;font-size:15px}
.work{font-weight:600;font-size:13px}
.own{fill:#0b6e75}.bare{fill:#8893a3}.peer{fill:#b9c3ce}
.grid{stroke:#c9d0d8;stroke-width:1;stroke-opacity:.6}
.range{stroke:#1c2430;stroke-width:1.5;fill:none}
@media(prefers-color-scheme:dark){
text{fill:#e8edf2}
.soft{fill:#a7b2bf}
.own{fill:#5cc4cb}.bare{fill:#8794a3}.peer{fill:#4d5a68}
.grid{stroke:#38434f}
.range{stroke:#e8edf2}
}
";

/// Draws the panels that something was measured for.
pub(crate) fn draw(summary: &[Summary]) -> String {
    let mut body = String::new();
    let mut y = 18.0;
    for (title, works) in PANELS {
        let cases: Vec<&Summary> =
            summary.iter().filter(|case| works.contains(&case.work) && is_drawn(case)).collect();
        if !cases.is_empty() {
            panel(&mut body, &mut y, title, &cases);
        }
    }
    // Writing to a string can't fail.
    let mut text = String::new();
    let _ = write!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" width=\"{WIDTH}\" height=\"{y:.0}\" \
         role=\"img\" aria-labelledby=\"title desc\" font-family=\"system-ui, -apple-system, 'Segoe UI', sans-serif\" \
         font-size=\"13\">\n\
         <title id=\"title\">Processor time of a request</title>\n\
         <desc id=\"desc\">{}</desc>\n<style>\n{STYLE}</style>\n{body}</svg>\n",
        escape(&describe(summary)),
    );
    text
}

/// The control and other builds are for the table.
fn is_drawn(case: &Summary) -> bool {
    case.system != CONTROL && case.system != OTHER
}

fn panel(body: &mut String, y: &mut f64, title: &str, cases: &[&Summary]) {
    let most = cases.iter().map(|case| case.cpu_us.high).fold(0.0, f64::max);
    let step = step(most);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    let _ = writeln!(
        body,
        "<text class=\"head\" x=\"0\" y=\"{:.0}\">Processor time of a request {title}, µs</text>",
        *y
    );
    *y += 14.0;
    let top = *y;
    let mut bars = String::new();
    let mut work = None;
    for case in cases {
        if work.replace(case.work) != Some(case.work) {
            *y += 20.0;
            let _ = writeln!(
                bars,
                "<text class=\"work\" x=\"0\" y=\"{:.0}\">{}</text>",
                *y,
                escape(case.work.title())
            );
            *y += 8.0;
        }
        bar(&mut bars, *y, scale, case);
        *y += LINE;
    }
    let mut tick = 0.0;
    while tick <= most {
        let x = LEFT + tick * scale;
        let (bottom, label) = (*y, *y + 14.0);
        let _ = writeln!(body, "<path class=\"grid\" d=\"M{x:.1} {top:.0}V{bottom:.0}\"/>");
        let _ = writeln!(
            body,
            "<text class=\"soft\" x=\"{x:.1}\" y=\"{label:.0}\" text-anchor=\"middle\">{tick:.0}</text>"
        );
        tick += step;
    }
    body.push_str(&bars);
    *y += 44.0;
}

fn bar(body: &mut String, y: f64, scale: f64, case: &Summary) {
    let class = match case.system.as_str() {
        OURS => "own",
        BARE => "bare",
        _ => "peer",
    };
    let cpu = &case.cpu_us;
    let (length, middle) = (cpu.median * scale, y + BAR / 2.0);
    let text = middle + 4.5;
    let (low, high) = (LEFT + cpu.low * scale, LEFT + cpu.high * scale);
    let figure = high.max(LEFT + length) + 6.0;
    let _ = writeln!(
        body,
        "<text x=\"{:.0}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>\
         <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>\
         <path class=\"range\" d=\"M{low:.1} {middle:.1}H{high:.1}\"/>\
         <text x=\"{figure:.1}\" y=\"{text:.1}\">{:.1}<tspan class=\"soft\" dx=\"6\">{}</tspan></text>",
        LEFT - 8.0,
        escape(&case.system),
        cpu.median,
        if case.system == BARE { String::new() } else { format!("{:.2} of bare", case.ratio.median) },
    );
}

/// A round distance of ticks: five to ten of them.
fn step(most: f64) -> f64 {
    let mut step = 1.0;
    while most / step > 10.0 {
        step *= if most / (step * 2.0) <= 10.0 {
            2.0
        } else if most / (step * 5.0) <= 10.0 {
            5.0
        } else {
            10.0
        };
    }
    step
}

/// In words, for those who don't see it.
fn describe(summary: &[Summary]) -> String {
    let parts: Vec<String> = summary
        .iter()
        .filter(|case| is_drawn(case))
        .map(|case| format!("{} {:.1} µs", case.name(), case.cpu_us.median))
        .collect();
    parts.join("; ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
