//! Bars by hour: a server-rendered picture, always accompanied by the same numbers in a table.

use std::fmt::Write as _;

use super::parts::Svg;

/// One bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourBar {
    /// Hour as people read it: `14:00`.
    pub label: String,
    /// Things that were allowed.
    pub ok: u32,
    /// Things that were refused.
    pub refused: u32,
}

const BAR: u32 = 18;
const GAP: u32 = 6;
const HEIGHT: u32 = 96;

/// Draws the bars; refused parts lie on top and carry a pattern, so color is never the only sign.
pub fn hour_bars(bars: &[HourBar]) -> Svg {
    let highest = bars.iter().map(|bar| bar.ok.saturating_add(bar.refused)).max().unwrap_or(0).max(1);
    let width = u32::try_from(bars.len()).unwrap_or(0).saturating_mul(BAR + GAP).max(1);
    let mut shapes = String::new();
    let mut x = GAP / 2;
    for bar in bars {
        let ok = scaled(bar.ok, highest);
        let refused = scaled(bar.refused, highest);
        // Writing to a String cannot fail.
        let _ = write!(
            shapes,
            "<rect class=\"bar-ok\" x=\"{x}\" y=\"{}\" width=\"{BAR}\" height=\"{ok}\"/>\
             <rect fill=\"url(#refused)\" x=\"{x}\" y=\"{}\" width=\"{BAR}\" height=\"{refused}\"/>",
            HEIGHT.saturating_sub(ok),
            HEIGHT.saturating_sub(ok).saturating_sub(refused),
        );
        x = x.saturating_add(BAR + GAP);
    }
    Svg::new(format!(
        "<svg class=\"bars\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" \
         preserveAspectRatio=\"none\" aria-hidden=\"true\"><defs><pattern id=\"refused\" width=\"5\" height=\"5\" \
         patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect class=\"bar-back\" width=\"5\" \
         height=\"5\"/><rect class=\"bar-line\" width=\"2\" height=\"5\"/></pattern></defs>{shapes}\
         <rect class=\"bar-base\" y=\"{}\" width=\"{width}\" height=\"1\"/></svg>",
        HEIGHT - 1
    ))
}

/// Scales a count to the drawing height; anything above zero stays visible.
fn scaled(count: u32, highest: u32) -> u32 {
    if count == 0 {
        return 0;
    }
    let height = u64::from(count) * u64::from(HEIGHT - 8) / u64::from(highest.max(1));
    u32::try_from(height).unwrap_or(HEIGHT).max(3)
}

/// The bars with what they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chart {
    /// Such as "Sign-ins, last 24 hours".
    pub title: String,
    /// The hours, oldest first; none hides the chart.
    pub bars: Vec<HourBar>,
}

impl Chart {
    /// The drawing.
    pub fn svg(&self) -> Svg {
        hour_bars(&self.bars)
    }

    /// Everything that was allowed.
    pub fn total_ok(&self) -> u64 {
        self.bars.iter().map(|bar| u64::from(bar.ok)).sum()
    }

    /// Everything that was refused.
    pub fn total_refused(&self) -> u64 {
        self.bars.iter().map(|bar| u64::from(bar.refused)).sum()
    }
}
