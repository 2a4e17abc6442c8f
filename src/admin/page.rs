//! The status as a page: headings and tables, readable without style, without scripts, by screen readers. A script adds
//! graphs of the last hour, and the same numbers in tables.
//!
//! Whatever stands in the status is escaped: names of mirrors and repositories come from outside.

use std::fmt::{self, Display, Write};

use serde_json::{Map, Value};

use super::Readiness;
use super::tiles::Tile;
use super::trouble::Trouble;
use crate::config::ByteSize;

/// Whether the page reloads itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// Every 5 s.
    On,
    /// `/?refresh=off`: who reads slowly, or by ear, must be able to stop it (WCAG 2.2.2).
    Off,
}

impl Refresh {
    pub(super) fn from_query(query: Option<&str>) -> Self {
        if query == Some("refresh=off") { Self::Off } else { Self::On }
    }
}

/// What stands above the status.
pub(super) struct Now<'a> {
    pub(super) readiness: &'a Readiness,
    pub(super) troubles: &'a [Trouble],
    pub(super) tiles: &'a [Tile],
}

/// The whole page.
pub(super) fn render(status: &Map<String, Value>, now: &Now<'_>, refresh: Refresh) -> String {
    let name = status.get("name").and_then(Value::as_str).unwrap_or("substratum");
    let (meta, toggle) = match refresh {
        Refresh::On => {
            let meta = "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n";
            (meta, "<a href=\"/?refresh=off\">stop refreshing</a>")
        }
        Refresh::Off => ("", "<a href=\"/\">refresh by itself</a>"),
    };
    let (name, words, version) = (Escaped(name), now.readiness.words(), env!("CARGO_PKG_VERSION"));
    let switch = if refresh == Refresh::On { "on" } else { "off" };
    let (attention, glance) = (attention(now.troubles), glance(now.tiles));
    // Tells a tab that needs attention from the others; and never by colour alone.
    let (count, but) = match now.troubles.iter().filter(|trouble| trouble.is_fresh()).count() {
        0 => (String::new(), String::new()),
        1 => ("(1) ".to_owned(), ", but one thing needs attention".to_owned()),
        count => (format!("({count}) "), format!(", but {count} things need attention")),
    };
    let mood = match (now.readiness, count.is_empty()) {
        (Readiness::Ready, true) => "well",
        _ => "unwell",
    };
    let mut tables = String::new();
    section(&mut tables, "Overview", status, 2);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{meta}\
         <title>{count}{name}: {readiness}</title>\n<link rel=\"stylesheet\" href=\"/uplot.css\">\n<link rel=\"stylesheet\" href=\"/style.css\">\n\
         <script src=\"/uplot.js\" defer></script>\n<script src=\"/page.js\" defer></script>\n</head>\n\
         <body data-refresh=\"{switch}\">\n<a class=\"skip\" href=\"#main\">Skip to what needs attention</a>\n\
         <header>\n<h1>{name}</h1>\n<p id=\"state\">Substratum {version}: <strong class=\"{mood}\">{readiness}{but}</strong></p>\n\
         <nav aria-label=\"Reports\"><a href=\"/status\">status as JSON</a> <a href=\"/metrics\">metrics</a> \
         <a href=\"/readyz\">ready?</a> {toggle}</nav>\n</header>\n<main id=\"main\">\n{attention}{glance}\
         <section aria-labelledby=\"hour\">\n<h2 id=\"hour\">The last hour</h2>\n\
         <p id=\"graphs-note\" role=\"status\"></p>\n<div id=\"graphs\"></div>\n\
         <noscript><p>Graphs need JavaScript; the numbers are in <a href=\"/history\">/history</a>.</p></noscript>\n\
         </section>\n<div id=\"tables\">\n{tables}</div>\n</main>\n</body>\n</html>\n",
        readiness = Escaped(&words),
    )
}

/// What needs attention, and what did within the hour.
fn attention(troubles: &[Trouble]) -> String {
    let mut out = String::from(
        "<section id=\"attention\" aria-labelledby=\"needs\">\n<h2 id=\"needs\">Needs attention</h2>\n",
    );
    if troubles.is_empty() {
        out.push_str("<p class=\"well\">Nothing, in the last hour.</p>\n");
    } else {
        out.push_str("<ul class=\"attention\">\n");
        for trouble in troubles {
            let (what, action) = (Escaped(&trouble.what), trouble.action);
            let age = Elapsed(trouble.age_seconds);
            let when = if trouble.is_fresh() { "strong" } else { "span" };
            put(&mut out, format_args!("<li><{when}>{what}</{when}> (last: {age} ago). {action}</li>\n"));
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</section>\n");
    out
}

/// Figures in large type; a list, so that by ear each stands with its name.
fn glance(tiles: &[Tile]) -> String {
    let mut out = String::from("<dl id=\"glance\">\n");
    for Tile { label, value, note } in tiles {
        put(&mut out, format_args!("<div><dt>{label}</dt><dd><strong>{value}</strong> {note}</dd></div>\n"));
    }
    out.push_str("</dl>\n");
    out
}

/// Plain values in a table, then a section for each value that has values of its own.
fn section(out: &mut String, title: &str, values: &Map<String, Value>, level: u8) {
    let (nested, plain): (Vec<_>, Vec<_>) = values.iter().partition(|(_, value)| has_parts(value));
    let id = format!("h{}", out.len());
    put(out, format_args!("<section aria-labelledby=\"{id}\">\n"));
    put(out, format_args!("<h{level} id=\"{id}\">{}</h{level}>\n", Escaped(title)));
    if !plain.is_empty() {
        out.push_str("<div class=\"scroll\"><table>\n");
        for (key, value) in plain {
            let (label, value) = (label(key), Shown { key, value });
            put(out, format_args!("<tr><th scope=\"row\">{}</th><td>{value}</td></tr>\n", Escaped(&label)));
        }
        out.push_str("</table></div>\n");
    }
    for (key, value) in nested {
        match value {
            Value::Object(values) if level < MAX_LEVEL => section(out, &label(key), values, level + 1),
            Value::Array(rows) if level < MAX_LEVEL => list(out, &label(key), rows, level + 1),
            // Deeper than headings go: as it is.
            other => put(out, format_args!("<pre>{}: {}</pre>\n", Escaped(key), Escaped(&other.to_string()))),
        }
    }
    out.push_str("</section>\n");
}

/// Objects as the rows of one table; the first one names the columns.
fn list(out: &mut String, title: &str, rows: &[Value], level: u8) {
    let name = Escaped(title);
    put(out, format_args!("<div class=\"wide\">\n<h{level}>{name}</h{level}>\n"));
    put(
        out,
        format_args!("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{name}\"><table>\n"),
    );
    // Numbers stand below each other, and what is said in their place as well.
    let class = |column: &String| {
        let numbers = rows.iter().any(|row| row.get(column).is_some_and(Value::is_number));
        if numbers { " class=\"number\"" } else { "" }
    };
    let first = rows.first().and_then(Value::as_object);
    let columns: Vec<_> = first.into_iter().flat_map(Map::keys).map(|key| (key, class(key))).collect();
    out.push_str("<tr>");
    for (key, class) in &columns {
        put(out, format_args!("<th scope=\"col\"{class}>{}</th>", Escaped(&label(key))));
    }
    out.push_str("</tr>\n");
    for row in rows.iter().take(MAX_ROWS) {
        out.push_str("<tr>");
        for &(key, class) in &columns {
            let value = row.get(key).unwrap_or(&Value::Null);
            put(out, format_args!("<td{class}>{}</td>", Shown { key, value }));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
    if rows.len() > MAX_ROWS {
        put(
            out,
            format_args!("<p>{} more are in <a href=\"/status\">/status</a>.</p>\n", rows.len() - MAX_ROWS),
        );
    }
    out.push_str("</div>\n");
}

fn has_parts(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(items) => items.first().is_some_and(Value::is_object),
        _ => false,
    }
}

/// `hit_ratio` -> `hit ratio`, `stored_bytes` -> `stored`: the value shows its unit.
fn label(key: &str) -> String {
    let key =
        [BYTES, SECONDS, MILLISECONDS, PERCENT].iter().find_map(|unit| key.strip_suffix(unit)).unwrap_or(key);
    if key == "url" { "URL".to_owned() } else { key.replace('_', " ") }
}

/// A value with the unit that the ending of its key tells.
struct Shown<'a> {
    key: &'a str,
    value: &'a Value,
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Value::Null => f.write_char('-'),
            Value::Bool(true) => f.write_str("yes"),
            Value::Bool(false) => f.write_str("no"),
            Value::String(text) => write!(f, "{}", Escaped(text)),
            Value::Number(number) => match number.as_u64() {
                Some(bytes) if self.key.ends_with(BYTES) => write!(f, "{}", ByteSize(bytes)),
                Some(seconds) if self.key.ends_with(SECONDS) => write!(f, "{}", Elapsed(seconds)),
                _ if self.key.ends_with(SECONDS) => write!(f, "{number} s"),
                _ if self.key.ends_with(MILLISECONDS) => write!(f, "{number} ms"),
                _ if self.key.ends_with(PERCENT) => write!(f, "{number} %"),
                _ => write!(f, "{number}"),
            },
            Value::Array(items) if items.is_empty() => f.write_str("none"),
            Value::Array(items) => {
                for (at, value) in items.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(f, "{separator}{}", Shown { key: self.key, value })?;
                }
                Ok(())
            }
            Value::Object(parts) => {
                for (at, (key, value)) in parts.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(f, "{separator}{} {}", Escaped(key), Shown { key, value })?;
                }
                Ok(())
            }
        }
    }
}

/// `3 d 4 h`, `2 min 5 s`: the two largest units.
struct Elapsed(u64);

impl Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min {} s", seconds % 60),
            (0, _, _) => write!(f, "{hours} h {minutes} min"),
            _ => write!(f, "{days} d {hours} h"),
        }
    }
}

/// Text between tags or in a quoted attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let Some((end, special)) = part.char_indices().next_back() else { continue };
            let entity = match special {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\'' => "&#39;",
                _ => {
                    f.write_str(part)?;
                    continue;
                }
            };
            f.write_str(&part[..end])?;
            f.write_str(entity)?;
        }
        Ok(())
    }
}

/// Writing into a text cannot fail.
fn put(out: &mut String, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

const BYTES: &str = "_bytes";
const SECONDS: &str = "_seconds";
const MILLISECONDS: &str = "_ms";
const PERCENT: &str = "_percent";
/// Deepest heading.
const MAX_LEVEL: u8 = 4;
/// Rows shown of one list.
const MAX_ROWS: usize = 200;

/// What is served beside the page, so that its policy needs no exception for inline style or script.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) media_type: &'static str,
    pub(super) text: &'static str,
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// uPlot draws the graphs: 50 KiB, no dependencies. As it is published, with its licence.
pub(super) const ASSETS: [Asset; 5] = [
    Asset { path: "/style.css", media_type: CSS, text: include_str!("assets/style.css") },
    Asset { path: "/page.js", media_type: SCRIPT, text: include_str!("assets/page.js") },
    Asset { path: "/uplot.css", media_type: CSS, text: include_str!("assets/uplot.css") },
    Asset { path: "/uplot.js", media_type: SCRIPT, text: include_str!("assets/uplot.js") },
    Asset {
        path: "/uplot.LICENSE",
        media_type: "text/plain; charset=utf-8",
        text: include_str!("assets/uplot.LICENSE"),
    },
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Now<'static> = Now { readiness: &Readiness::Ready, troubles: &[], tiles: &[] };

    #[track_caller]
    fn check(status: Value, expected: &[&str]) {
        let html = render(status.as_object().unwrap(), &NOW, Refresh::On);
        for part in expected {
            assert!(html.contains(part), "{part} is missing in\n{html}");
        }
    }

    #[test]
    fn values_show_their_unit() {
        check(
            json!({
                "name": "site-1", "uptime_seconds": 93_784, "took_seconds": 0.25, "stored_bytes": 1_572_864,
                "hit_ratio": 0.5, "ready": true, "parents": [], "took_ms": 7, "used_percent": 3, "listen": ["0.0.0.0:3128", "[::]:3128"], "none": null,
            }),
            &[
                "<h1>site-1</h1>",
                "<th scope=\"row\">uptime</th><td>1 d 2 h</td>",
                "<th scope=\"row\">took</th><td>0.25 s</td>",
                "<th scope=\"row\">stored</th><td>1.5 MiB</td>",
                "<th scope=\"row\">hit ratio</th><td>0.5</td>",
                "<th scope=\"row\">ready</th><td>yes</td>",
                "<th scope=\"row\">listen</th><td>0.0.0.0:3128, [::]:3128</td>",
                "<th scope=\"row\">none</th><td>-</td>",
                "<th scope=\"row\">parents</th><td>none</td>",
                "<th scope=\"row\">took</th><td>7 ms</td>",
                "<th scope=\"row\">used</th><td>3 %</td>",
            ],
        );
    }

    #[test]
    fn parts_get_sections_and_lists_get_columns() {
        check(
            json!({
                "memory": { "used_bytes": 17 },
                "mirrors": [{ "url": "http://a", "open_seconds": 61, "outcomes": { "ok": 12, "reset": 3 } }, { "url": "http://b" }],
                "deep": { "er": { "est": { "value": 1 } } },
            }),
            &[
                ">memory</h3>\n<div class=\"scroll\"><table>\n<tr><th scope=\"row\">used</th><td>17 B</td></tr>",
                "<h3>mirrors</h3>",
                "<th scope=\"col\">URL</th>",
                "<th scope=\"col\" class=\"number\">open</th>",
                "<td class=\"number\">1 min 1 s</td>",
                "<td class=\"number\">-</td>",
                "<td>http://b</td>",
                "<td>ok 12, reset 3</td>",
                "<pre>est: {&quot;value&quot;:1}</pre>",
            ],
        );
    }

    #[test]
    fn everything_is_escaped() {
        let evil = "</td><script>alert('1')</script>\"&";
        let status = json!({
            "name": evil, evil: evil, "list": [{ evil: evil }], "part": { evil: { evil: { evil: evil } } },
        });
        let html = render(status.as_object().unwrap(), &NOW, Refresh::On);
        assert_eq!(html.matches("<script").count(), 2, "{html}");
        assert!(!html.contains("('1')"), "{html}");
        assert!(html.contains("&lt;/td&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;"));
    }

    #[test]
    fn refreshing_can_be_stopped() {
        for (query, refreshes) in [(None, true), (Some("refresh=off"), false), (Some("x=1"), true)] {
            let html = render(&Map::new(), &NOW, Refresh::from_query(query));
            assert_eq!(html.contains("http-equiv=\"refresh\""), refreshes, "{query:?}");
        }
    }

    #[test]
    fn trouble_stands_first_with_what_to_do() {
        let trouble = |age_seconds| Trouble {
            what: "it <rains>".to_owned(),
            action: "Take an umbrella.",
            alert: "Rain",
            times: 1,
            age_seconds,
        };
        let html = render(&Map::new(), &Now { troubles: &[trouble(61), trouble(3000)], ..NOW }, Refresh::On);
        for part in [
            "<strong>it &lt;rains&gt;</strong> (last: 1 min 1 s ago). Take an umbrella.",
            "<span>it &lt;rains&gt;</span> (last: 50 min 0 s ago)",
            "<title>(1) substratum: ready</title>",
            "<strong class=\"unwell\">ready, but one thing needs attention</strong>",
        ] {
            assert!(html.contains(part), "{part} is missing in\n{html}");
        }
        assert!(html.find("umbrella").unwrap() < html.find("The last hour").unwrap());
    }

    #[test]
    fn a_few_figures_stand_above_the_rest() {
        let tile = Tile { label: "Requests", value: "7 /s".to_owned(), note: "now".to_owned() };
        let html = render(&Map::new(), &Now { tiles: &[tile], ..NOW }, Refresh::On);
        assert!(html.contains("<dt>Requests</dt><dd><strong>7 /s</strong> now</dd>"), "{html}");
    }

    #[test]
    fn long_lists_are_cut() {
        let rows: Vec<_> = (0..MAX_ROWS + 5).map(|n| json!({ "n": n })).collect();
        check(json!({ "rows": rows }), &["<p>5 more are in"]);
    }
}
