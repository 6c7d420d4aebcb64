//! Tables, all of one make.

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};

/// Renders rows under a header, in at most `width` columns; lines have no trailing spaces.
#[must_use]
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: usize) -> String {
    let mut table = Table::new();
    let line = LineStyle::none().fill('─').junction('─');
    let style = TableStyle::new().header_separator(line).bottom_border(line);
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width.min(120)).unwrap_or(120));
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    let mut out = String::new();
    for line in table.to_string().lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
