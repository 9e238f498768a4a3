//! Drawing: scales, axes and marks as SVG elements. Every text that goes in is escaped here.

use std::fmt::Write;

/// Width of every drawing, in its own units; the page scales it.
pub(super) const WIDTH: f64 = 760.0;

/// `text` with everything escaped that means something in HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // What no document may hold.
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Where anchored text hangs.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Values on a line of the drawing.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    pixels: [f64; 2],
}

impl Scale {
    pub(super) fn new(from: f64, to: f64, pixels: [f64; 2]) -> Scale {
        Scale { from, to: if to > from { to } else { from + 1.0 }, pixels }
    }

    /// The place of `value`; what lies outside is put on the edge.
    pub(super) fn at(self, value: f64) -> f64 {
        let share = ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.pixels[0] + share * (self.pixels[1] - self.pixels[0])
    }

    pub(super) fn holds(self, value: f64) -> bool {
        (self.from..=self.to).contains(&value)
    }

    /// Round values along it, about `count` of them.
    pub(super) fn ticks(self, count: usize) -> Vec<f64> {
        let rough = (self.to - self.from) / count.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|of| of * power).find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(rough);
        let first = (self.from / step).ceil();
        (0..50).map(|at| (first + f64::from(at)) * step).take_while(|tick| *tick <= self.to * 1.000_001).collect()
    }
}

/// A drawing under way.
pub(super) struct Drawing {
    height: f64,
    body: String,
}

impl Drawing {
    pub(super) fn new(height: f64) -> Drawing {
        Drawing { height, body: String::new() }
    }

    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], attributes: &str) {
        let ([x1, y1], [x2, y2]) = (from, to);
        let _ = write!(self.body, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {attributes}/>"#);
    }

    pub(super) fn path(&mut self, points: &[[f64; 2]], attributes: &str) {
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(self.body, r#"<polyline points="{}" {attributes}/>"#, points.join(" "));
    }

    /// A dot that says `title` when pointed at.
    pub(super) fn dot(&mut self, [x, y]: [f64; 2], radius: f64, attributes: &str, title: &str) {
        let title = escape(title);
        let _ = write!(
            self.body,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" {attributes}><title>{title}</title></circle>"#
        );
    }

    pub(super) fn bar(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], attributes: &str, title: &str) {
        let (width, height, title) = (width.max(0.0), height.max(0.0), escape(title));
        let _ = write!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" {attributes}><title>{title}</title></rect>"#
        );
    }

    pub(super) fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        let _ =
            write!(self.body, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#);
    }

    /// Names with their colours, in rows from `[x, y]`.
    pub(super) fn legend(&mut self, [x, mut y]: [f64; 2], names: &[(&str, String)]) {
        let mut at = x;
        for (name, colour) in names {
            let width = 30.0 + name.chars().count() as f64 * 7.2;
            if at + width > WIDTH && at > x {
                (at, y) = (x, y + 18.0);
            }
            self.bar([at, y - 9.0], [12.0, 10.0], &format!(r#"fill="{colour}""#), name);
            self.text([at + 17.0, y], Anchor::Start, "", name);
            at += width;
        }
    }

    /// The drawing as an element; `label` is what it is called to those who cannot see it.
    pub(super) fn finish(self, label: &str) -> String {
        let (height, body, label) = (self.height, self.body, escape(label));
        format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{body}</svg>"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        let ticks = |from, to| Scale::new(from, to, [0.0, 1.0]).ticks(5);
        assert_eq!(ticks(0.0, 5.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(ticks(0.0, 47.0), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(ticks(3.0, 3.0).first(), Some(&3.0));
    }

    proptest! {
        #[test]
        fn nothing_gets_out_of_a_text(text in "\\PC{0,40}[<>&\"'\u{0}\u{7f}]{0,9}\\PC{0,9}") {
            let escaped = escape(&text);
            let got_out = escaped.contains(['<', '>', '"', '\'', '\u{0}']);
            prop_assert!(!got_out);
            let signs = text.matches(['&', '<', '>', '"', '\'']).count();
            prop_assert_eq!(escaped.matches('&').count(), signs);
        }

        #[test]
        fn places_are_within_the_drawing(value in proptest::num::f64::NORMAL, from in -1e6f64..1e6, size in 0f64..1e6) {
            let place = Scale::new(from, from + size, [10.0, 90.0]).at(value);
            prop_assert!((10.0..=90.0).contains(&place));
        }
    }
}
