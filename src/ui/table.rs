//! Tables, all of one make.

use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};
use unicode_width::UnicodeWidthStr;

/// Renders rows under a header, in at most `width` columns; lines have no trailing spaces.
#[must_use]
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: usize) -> String {
    drawn(header, rows, width, false, &[])
}

/// The same for many short columns: they move together where the screen is narrow.
#[must_use]
pub fn dense(header: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let wide: usize = widest(header, &rows.iter()).iter().map(|column| column + 3).sum();
    drawn(header, rows.iter().cloned(), width, wide > width, &[])
}

/// Renders several groups of rows of one kind, each a table of its own, with columns that stand below each other as far
/// as the screen is wide enough; a group of none is empty.
#[must_use]
pub fn grouped(header: &[&str], groups: &[Vec<Vec<String>>], width: usize) -> Vec<String> {
    let columns = widest(header, &groups.iter().flatten());
    let wide: usize = columns.iter().map(|column| column + 3).sum();
    let tight = wide > width;
    let fits = columns.iter().map(|column| column + 1).sum::<usize>() <= width;
    let columns: &[usize] = if fits { &columns } else { &[] };
    let drawn = |rows: &Vec<Vec<String>>| drawn(header, rows.iter().cloned(), width, tight, columns);
    groups.iter().map(|rows| if rows.is_empty() { String::new() } else { drawn(rows) }).collect()
}

/// How wide each column is, its head included.
fn widest<'r>(header: &[&str], rows: &(impl Iterator<Item = &'r Vec<String>> + Clone)) -> Vec<usize> {
    let of_column = |(at, head): (usize, &&str)| {
        let cells = rows.clone().filter_map(|row| row.get(at)).map(|cell| cell.width());
        head.lines().map(UnicodeWidthStr::width).chain(cells).max().unwrap_or(0)
    };
    header.iter().enumerate().map(of_column).collect()
}

/// `least` are widths of text that columns have at least.
fn drawn(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    width: usize,
    tight: bool,
    least: &[usize],
) -> String {
    let mut table = Table::new();
    let line = LineStyle::none().fill('─').junction('─');
    let style = TableStyle::new().header_separator(line).bottom_border(line);
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width.min(120)).unwrap_or(120));
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    if tight {
        table.column_iter_mut().for_each(|column| {
            column.set_padding((0, 0));
        });
    }
    for (column, least) in table.column_iter_mut().zip(least) {
        let padding = if tight { 0 } else { 2 };
        let least = u16::try_from(least + padding).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
    }
    let mut out = String::new();
    for line in table.to_string().lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
