//! Properties of the parsers of Proxmox configuration files: whatever stands in one, nothing of it is lost.

use phoenix::observed::Conf;
use proptest::prelude::*;

proptest! {
    #[test]
    fn print_undoes_parse(text in "(?s)([a-z\\[\\]#:% \r\n]|\\PC|.){0,200}") {
        prop_assert_eq!(Conf::parse(&text).to_string(), text);
    }

    #[test]
    fn print_undoes_parse_of_lines(lines in prop::collection::vec("(\\[[A-Za-z:]{0,8}\\] ?|#.{0,10}|[a-z]{1,6}[0-9]?: ?.{0,12}|.{0,6})(\r?\n)?", 0..20)) {
        let text = lines.concat();
        prop_assert_eq!(Conf::parse(&text).to_string(), text);
    }

    #[test]
    fn a_set_key_can_be_read(text in "(?s)([a-z\\[\\]#:% \r\n]){0,80}", key in "[a-z]{1,8}", value in "[a-z0-9=,]{0,12}") {
        let mut conf = Conf::parse(&text);
        conf.set(&key, &value);
        let again = conf.to_string();
        let read = Conf::parse(&again);
        prop_assert_eq!(read.get(&key), Some(value.as_str()));
    }

    #[test]
    fn set_notes_can_be_read(text in "(?s)([a-z\\[\\]#:% \r\n]){0,80}", notes in "(?s).{0,60}") {
        let mut conf = Conf::parse(&text);
        conf.set_description(&notes);
        let again = conf.to_string();
        prop_assert_eq!(Conf::parse(&again).description(), notes.trim_end());
    }
}

#[test]
fn recorded_files_print_as_they_are() {
    for name in ["100a-clone-placeholder-conf-file", "100b-clone-running-conf-file"] {
        let path = format!("{}/fixtures/proxmox/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(Conf::parse(&text).to_string(), text);
    }
}
