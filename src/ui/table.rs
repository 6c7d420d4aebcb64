//! Tables, all of one make.

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use unicode_width::UnicodeWidthStr;

/// Renders rows under a header, in at most `width` columns; lines have no trailing spaces.
#[must_use]
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: usize) -> String {
    drawn(header, rows, width, false)
}

/// The same for many short columns: they move together where the screen is narrow.
#[must_use]
pub fn dense(header: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let widest = |at: usize, head: &str| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width());
        head.lines().map(UnicodeWidthStr::width).chain(cells).max().unwrap_or(0)
    };
    let wide: usize = header.iter().enumerate().map(|(at, head)| widest(at, head) + 3).sum();
    drawn(header, rows.iter().cloned(), width, wide > width)
}

fn drawn(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: usize, tight: bool) -> String {
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
    let mut out = String::new();
    for line in table.to_string().lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
