//! Properties of the parsers of Proxmox configuration files: whatever stands in one, nothing of it is lost.

use phoenix::model::{Digest, VmId};
use phoenix::observed::{Conf, ConfigWrite, NameList, RecordFound, VmObserved};
use proptest::prelude::*;

/// Options that a config can wish for, each with values; nothing deletes it.
const OPTIONS: [(&str, &[&str]); 17] = [
    ("agent", &["", "1", "enabled=0,type=isa"]),
    ("ciuser", &["", "admin"]),
    ("cores", &["", "2", "9"]),
    ("ide2", &["", "local-zfs:vm-1000-cloudinit,media=cdrom"]),
    ("ipconfig0", &["", "ip=dhcp", "ip=192.0.2.7/24,gw=192.0.2.1"]),
    ("ipconfig1", &["", "ip6=2001:db8::7/64"]),
    ("memory", &["", "1024"]),
    ("name", &["", "web", "db"]),
    ("nameserver", &["", "192.0.2.53"]),
    ("net0", &["", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "e1000=BC:24:11:00:00:02,bridge=vmbr1"]),
    ("onboot", &["", "1"]),
    ("ostype", &["", "l26", "win11"]),
    ("protection", &["", "1"]),
    ("searchdomain", &["", "example.org"]),
    ("sockets", &["", "2"]),
    ("startup", &["", "order=1,up=5"]),
    ("tags", &["", "b;a"]),
];

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

    /// A VM after a write is what its configuration says then, drives that go aside: nobody deletes one.
    #[test]
    fn a_write_can_be_foreseen(
        before in prop::collection::vec(any::<prop::sample::Index>(), OPTIONS.len()),
        wishes in prop::collection::vec(any::<Option<prop::sample::Index>>(), OPTIONS.len()),
    ) {
        let (mut conf, mut write) = (Conf::parse("scsi0: local-zfs:vm-1000-disk-0,size=3G\n"), ConfigWrite::default());
        for ((key, values), index) in OPTIONS.iter().zip(&before) {
            let value = values[index.index(values.len())];
            if !value.is_empty() {
                conf.set(key, value);
            }
        }
        let old = conf.to_string();
        let mut conf = Conf::parse(&old);
        for ((key, values), wish) in OPTIONS.iter().zip(&wishes) {
            match wish.map(|index| values[index.index(values.len())]) {
                None => {}
                Some("") if *key == "ide2" => {}
                Some("") => {
                    conf.remove(key);
                    write.delete.insert((*key).to_owned());
                }
                Some(value) => {
                    conf.set(key, value);
                    write.set.insert((*key).to_owned(), value.to_owned());
                }
            }
        }
        let id = VmId::try_from(1000).unwrap();
        // Order is nothing that anybody reads.
        let plain = |mut vm: VmObserved| {
            vm.fixed_addresses.sort();
            vm.volumes.clear();
            VmObserved { digest: Digest(String::new()), record: RecordFound::None, devices: NameList::default(), ..vm }
        };
        let foreseen = VmObserved::from_conf(id, &old, false).after(&write);
        prop_assert_eq!(plain(foreseen), plain(VmObserved::from_conf(id, &conf.to_string(), false)));
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
