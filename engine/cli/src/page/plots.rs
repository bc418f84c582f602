//! Small drawings as SVG text. `None` for what has nothing to draw.

use plotters::prelude::*;
use unskewed_engine::findings::{Line, Spread};

use crate::findings::cells;

const SIZE: (u32, u32) = (380, 190);
const FIRST: RGBColor = RGBColor(31, 97, 141);
const SECOND: RGBColor = RGBColor(214, 120, 30);
const GRID: RGBColor = RGBColor(226, 230, 234);
const LETTERS: RGBColor = RGBColor(90, 98, 104);

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Option<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area).and_then(|()| area.present()).ok()?;
    }
    Some(svg)
}

/// From the least to the greatest, never of no width.
fn range(values: impl Iterator<Item = f64> + Clone) -> std::ops::Range<f64> {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(f64::NEG_INFINITY, f64::max);
    match most > least {
        true => least..most,
        false => least - 0.5..most + 0.5,
    }
}

fn letters() -> TextStyle<'static> {
    ("sans-serif", 11).into_font().color(&LETTERS)
}

/// A value over time, from zero.
pub(super) fn line(line: &Line) -> Option<String> {
    let points: Vec<(i64, f64)> = line
        .points
        .iter()
        .copied()
        .filter(|(_, value)| value.is_finite())
        .collect();
    let (first, last) = (points.first()?.0, points.last()?.0);
    let last = if last > first { last } else { first + 1 };
    let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if most > 0.0 { most * 1.1 } else { 1.0 };
    let is_long = last - first > 2 * 86_400_000;
    drawn(SIZE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(22)
            .y_label_area_size(48)
            .build_cartesian_2d(first..last, 0.0..top)?;
        let time = |millis: &i64| {
            let text = cells::time(*millis);
            if is_long {
                text[5..10].to_owned()
            } else {
                format!("{} {}", &text[5..10], &text[11..16])
            }
        };
        chart
            .configure_mesh()
            .x_labels(4)
            .y_labels(4)
            .x_label_formatter(&time)
            .y_label_formatter(&|value| cells::number(*value))
            .label_style(letters())
            .axis_style(GRID)
            .bold_line_style(GRID)
            .light_line_style(WHITE)
            .draw()?;
        let area = AreaSeries::new(points.iter().copied(), 0.0, FIRST.mix(0.15));
        chart.draw_series(area.border_style(FIRST.stroke_width(2)))?;
        chart.draw_series(
            points
                .iter()
                .map(|point| Circle::new(*point, 2, FIRST.filled())),
        )?;
        Ok(())
    })
}

/// Numbers side by side.
pub(super) fn bars(bars: &[(String, f64)]) -> Option<String> {
    if bars.is_empty() {
        return None;
    }
    let most = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if most > 0.0 { most * 1.1 } else { 1.0 };
    let width = bars.len() as f64;
    drawn((760, 190), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(22)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..width, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .y_labels(4)
            .y_label_formatter(&|value| cells::number(*value))
            .label_style(letters())
            .axis_style(GRID)
            .bold_line_style(GRID)
            .light_line_style(WHITE)
            .draw()?;
        chart.draw_series(bars.iter().enumerate().map(|(index, (_, value))| {
            let left = index as f64;
            Rectangle::new(
                [(left + 0.1, 0.0), (left + 0.9, *value)],
                FIRST.mix(0.8).filled(),
            )
        }))?;
        // Labels stand below the middle of their bars.
        let plane = chart.plotting_area();
        for (index, (name, _)) in bars.iter().enumerate() {
            let (x, y) = plane.map_coordinate(&(index as f64 + 0.5, 0.0));
            let style = letters().pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Top,
            ));
            area.draw(&Text::new(name.clone(), (x, y + 5), style))?;
        }
        Ok(())
    })
}

/// A distribution function, and the one it is held against.
pub(super) fn spread(spread: &Spread) -> Option<String> {
    let finite = |quantiles: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let points = quantiles.iter().filter(|(_, value)| value.is_finite());
        points
            .map(|(fraction, value)| (*value, *fraction))
            .collect()
    };
    let own = finite(&spread.quantiles);
    let other = spread
        .other
        .as_ref()
        .map(|(_, quantiles)| finite(quantiles));
    if own.is_empty() {
        return None;
    }
    let more = other.iter().flatten();
    let values = range(own.iter().chain(more).map(|(value, _)| *value));
    drawn(SIZE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(22)
            .y_label_area_size(48)
            .build_cartesian_2d(values, 0.0..1.0)?;
        chart
            .configure_mesh()
            .x_labels(4)
            .y_labels(5)
            .x_label_formatter(&|value| cells::number(*value))
            .y_label_formatter(&|fraction| format!("{:.0}%", fraction * 100.0))
            .label_style(letters())
            .axis_style(GRID)
            .bold_line_style(GRID)
            .light_line_style(WHITE)
            .draw()?;
        if let Some(points) = &other {
            let line = LineSeries::new(points.iter().copied(), SECOND.stroke_width(2));
            chart.draw_series(line)?;
        }
        chart.draw_series(LineSeries::new(own.iter().copied(), FIRST.stroke_width(2)))?;
        Ok(())
    })
}
