//! The row with which a reader narrows a page down.

/// A choice: the value in `data-o` or `data-d`, its words, and how many have it.
pub(super) type Choice = (&'static str, &'static str, usize);

/// Checkboxes for what occurs, and a field for text. Hidden until the script is there to serve it.
pub(super) fn filters(groups: &[(&str, &str, &[Choice])], placeholder: &str) -> String {
    let mut out = String::from("<section class=\"filters\" aria-label=\"Filters\" hidden=\"\">\n");
    out.push_str(&format!(
        "<label class=\"find\"><span>Find</span> <input type=\"search\" placeholder=\"{placeholder}\" \
         autocomplete=\"off\" spellcheck=\"false\" /> <kbd>/</kbd></label>\n"
    ));
    for (name, title, choices) in groups {
        let present: Vec<&Choice> = choices.iter().filter(|(_, _, n)| *n > 0).collect();
        // One choice is none.
        if present.len() < 2 {
            continue;
        }
        out.push_str(&format!("<fieldset><legend>{title}</legend>\n"));
        for (value, words, n) in present {
            out.push_str(&format!(
                "<label><input type=\"checkbox\" name=\"{name}\" value=\"{value}\" checked=\"checked\" /> {words} \
                 <small>{n}</small></label>\n"
            ));
        }
        out.push_str("</fieldset>\n");
    }
    out.push_str(
        "<div class=\"fold\"><button type=\"button\" data-fold=\"open\">Unfold all</button> <button type=\"button\" \
         data-fold=\"close\">Fold all</button></div>\n<p role=\"status\"></p>\n</section>\n",
    );
    out
}
