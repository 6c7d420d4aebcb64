//! The table of options: what differs, and what is written.

use phoenix::config::{FeatureFiles, Source, load};
use phoenix::model::proxmox::{self, Kind, ProxmoxOption};
use phoenix::model::{ActionKind, Desired, DesiredVm, Record, VmId};
use phoenix::observed::options::{self, Wish};
use phoenix::observed::{ConfigWrite, VmObserved, encode_description};
use proptest::prelude::*;
use serde_json::{Value, json};

fn id() -> VmId {
    VmId::try_from(1000).unwrap()
}

/// The VM that a file with these keys wishes.
fn wished(keys: &str) -> DesiredVm {
    let vm = format!(
        r#"{{ "vm_id": 1000, "vm_name": "web", "os_type": "l26", "cpu_cores": 2, "memory_mb": 512, "network_bridge": "vmbr0"{keys} }}"#
    );
    let source = Source::new("test.json", format!(r#"{{ "virtual_machines": [{vm}] }}"#));
    let loaded = load(&source, &mut |_| FeatureFiles::Missing);
    let Desired { mut vms, .. } = loaded.desired.unwrap_or_else(|| panic!("{vm}: {:?}", loaded.diagnostics));
    DesiredVm::clone(&vms.remove(0))
}

fn live(conf: &str) -> VmObserved {
    VmObserved::from_conf(id(), conf, false)
}

fn write(conf: &str, vm: &DesiredVm, fresh: bool, record: Option<&Record>) -> ConfigWrite {
    let rows = options::rows().filter(|row| row.step == ActionKind::Configure);
    options::render(rows, (vm, &live(conf), fresh), None, record).unwrap()
}

/// What is written into this configuration: `key=value`, and `-key` for what is deleted.
#[track_caller]
fn check(conf: &str, vm: &DesiredVm, fresh: bool, expected: &str) {
    let write = write(conf, vm, fresh, None);
    let set = write.set.iter().map(|(key, value)| format!("{key}={value}"));
    let shown = set.chain(write.delete.iter().map(|key| format!("-{key}"))).collect::<Vec<_>>().join(" ");
    assert_eq!(shown, expected, "{conf}");
}

const TEXT: &str = r#", "description": "text""#;
const SAME: &str =
    "#text\nagent: 1\ncores: 2\nname: web\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5\nostype: l26\n";

#[test]
fn only_what_differs() {
    let vm = wished(TEXT);
    for (conf, expected) in [
        (SAME, ""),
        (
            "#text\nagent: enabled=1\ncores: 9\nmemory: 1\nname: web\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nostype: l26\n\n[PENDING]\ncores: 2\ndelete: memory\n",
            "",
        ),
        (
            "cores: 2\nmemory: current=768\nsockets: 2\ntags: a\n",
            "agent=enabled=1 description=text memory=512 name=web net0=virtio,bridge=vmbr0 ostype=l26 sockets=1 -tags",
        ),
        (
            "#text\nagent: 0,type=isa\ncores: 2\nname: web\nnet0: e1000=BC:24:11:00:00:01,bridge=vmbr9,firewall=1\nostype: l26\n",
            "agent=enabled=1,type=isa net0=virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1",
        ),
    ] {
        check(conf, &vm, false, expected);
    }
    let other = "cores: 2\nname: web\nagent: 1\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n";
    let plain = wished("").clone();
    let plain = DesiredVm { os_type: phoenix::model::OsType::Other, ..plain };
    check(other, &plain, false, "");
    check(&format!("#old\n{other}"), &plain, false, "-description");
}

#[test]
fn a_fresh_clone_loses_what_it_copied() {
    let vm = wished(TEXT);
    check(&format!("{SAME}onboot: 1\nprotection: 1\n"), &vm, true, "-onboot -protection");
    check(&format!("{SAME}onboot: 0\nprotection: 0\nipconfig0: ip=dhcp\n"), &vm, true, "");
    let fixed = format!("{SAME}ipconfig0: ip=192.0.2.7/24,gw=192.0.2.1\nipconfig1: ip6=auto,ip=dhcp\n");
    check(&fixed, &vm, true, "ipconfig0=ip=dhcp");
    check(&fixed, &vm, false, "");
    let others = format!("{SAME}ipconfig0: ip=dhcp\nipconfig1: ip=192.0.2.7/24\nipconfig31: ip6=2001:db8::1/64\n");
    check(&others, &vm, true, "-ipconfig1 -ipconfig31");
    check(&others, &vm, false, "");
}

#[test]
fn what_the_node_does_with_the_vm_is_written_only_where_it_is_wished_for() {
    for (rest, keys, fresh, expected) in [
        ("onboot: 1\nprotection: 1\nstartup: 3,up=5\n", "", false, ""),
        (
            "onboot: 1\nprotection: 1\nstartup: 3,up=5\n",
            r#", "start_at_boot": true, "boot_order": 3, "boot_delay": 5, "protected": true"#,
            false,
            "",
        ),
        (
            "onboot: 1\nprotection: 1\nstartup: 3,up=5,down=9\n",
            r#", "start_at_boot": false, "boot_order": 4, "protected": false"#,
            false,
            "startup=order=4,up=5,down=9 -onboot -protection",
        ),
        ("", r#", "start_at_boot": false, "protected": false"#, false, ""),
        (
            "",
            r#", "start_at_boot": true, "boot_delay": 30, "protected": true"#,
            false,
            "onboot=1 protection=1 startup=up=30",
        ),
        (
            "startup: order=1,down=3\nprotection: 1\n",
            r#", "boot_order": 2, "protected": true"#,
            true,
            "startup=order=2",
        ),
        ("startup: order=2,down=3\n", r#", "boot_order": 2"#, true, "startup=order=2"),
        ("startup: order=1\n", "", true, "-startup"),
    ] {
        check(&format!("{SAME}{rest}"), &wished(&format!("{TEXT}{keys}")), fresh, expected);
    }
}

#[test]
fn record_is_merged_into_the_notes_as_they_are() {
    let record = Record { uuid: Some("aa".to_owned()), ..Record::creating("p", id()) };
    let conf = format!("{SAME}smbios1: uuid=aa\n");
    let notes = write(&conf, &wished(TEXT), false, Some(&record)).set.remove("description").unwrap();
    assert!(notes.starts_with("text\n<!-- phoenix {"), "{notes}");
    let conf = conf.replace("#text\n", &encode_description(&notes));
    assert!(write(&conf, &wished(TEXT), false, Some(&record)).is_empty());
    let notes = write(&conf, &wished(""), false, None).set.remove("description").unwrap();
    assert!(notes.starts_with("<!-- phoenix {"), "{notes}");
}

const CLOUD: &str = r#", "network_config": { "ip": "192.0.2.9/24", "gw": "192.0.2.1", "nameserver": "192.0.2.1" },
    "user_config": { "username": "ops" }, "tags": ["web"], "boot_order": 3, "start_at_boot": true"#;

/// A line of a configuration: an option and one of these values.
const LINES: [(&str, &[&str]); 14] = [
    ("agent", &["0", "1", "enabled=1,type=isa"]),
    ("ciuser", &["ops", "root"]),
    ("cores", &["1", "2", "8"]),
    ("ide2", &["local-zfs:vm-1000-cloudinit,media=cdrom", "none,media=cdrom"]),
    ("ipconfig0", &["ip=dhcp", "ip=192.0.2.9/24,gw=192.0.2.1", "ip6=auto", "ip=192.0.2.8/24"]),
    ("ipconfig1", &["ip=192.0.2.3/24", "ip=dhcp"]),
    ("memory", &["512", "current=2048"]),
    ("name", &["web", "db"]),
    ("nameserver", &["192.0.2.1", "192.0.2.1, 192.0.2.2"]),
    ("net0", &["virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5", "e1000=BC:24:11:00:00:01,bridge=vmbr1"]),
    ("onboot", &["0", "1"]),
    ("protection", &["0", "1"]),
    ("startup", &["3", "order=1,up=30,down=3", "down=9"]),
    ("tags", &["web", "Web;db"]),
];

proptest! {
    /// Each row writes options of its own, and what is written is what is wished: nothing differs any more.
    #[test]
    fn what_a_row_writes_is_its_own_and_lasts(
        lines in prop::collection::vec(any::<Option<prop::sample::Index>>(), LINES.len()),
        fresh in any::<bool>(),
        cloud in any::<bool>(),
    ) {
        let chosen = LINES.iter().zip(&lines).filter_map(|((option, values), at)| Some((option, values[at.as_ref()?.index(values.len())])));
        let conf = chosen.map(|(option, value)| format!("{option}: {value}\n")).collect::<Vec<_>>().concat();
        let vm = wished(if cloud { CLOUD } else { TEXT });
        let live = live(&conf);
        for row in options::rows().filter(|row| row.step == ActionKind::Configure) {
            let write = options::render(std::iter::once(row), (&vm, &live, fresh), None, None).unwrap();
            for option in write.options() {
                prop_assert!(row.options.contains(&option), "{row:?} writes {option}");
            }
        }
        let write = write(&conf, &vm, fresh, None);
        // A drive gets its volume, and notes their text, from the target.
        let mut after = live.after(&write);
        after.description = vm.description.clone();
        let left: Vec<_> = options::differing(&vm, &after, fresh)
            .filter(|differing| differing.row.step == ActionKind::Configure)
            .map(|differing| format!("{:?}: {:?}, {:?}", differing.row, differing.now, differing.wish))
            .collect();
        prop_assert!(left.is_empty(), "{left:?}\n{conf}\n{write:?}");
    }
}

/// Every row that a file can wish for is in the schema, and in the documentation.
#[test]
fn every_row_is_known_to_editors_and_readers() {
    let schema = include_str!("../schema/phoenix_vm_configs.schema.json");
    let keys = include_str!("../docs/keys.md");
    for row in options::rows().filter(|row| row.key.is_some()) {
        assert!(schema.contains(&format!("\"{}\":", row.name)), "{row:?} is not in the schema");
        assert!(keys.contains(&format!("`{}`", row.name)), "{row:?} is not in docs/keys.md");
        let part = row.part.rsplit('.').next().unwrap_or_default();
        assert!(part.is_empty() || schema.contains(&format!("\"{part}\":")), "{row:?} is not in the schema");
    }
}

#[test]
fn what_is_not_wished_for_is_left() {
    let vm = wished("");
    let left = options::rows().filter(|row| row.wished(&vm, None) == Wish::Leave).map(|row| row.name);
    let left: Vec<&str> = left.filter(|name| !name.is_empty()).collect();
    assert_eq!(
        left,
        [
            "pool",
            "ha",
            "start_at_boot",
            "protected",
            "boot_order",
            "boot_delay",
            "shutdown_timeout",
            "network_config",
            "network_config",
            "network_config",
            "network_config",
            "user_config",
            "user_config",
            "user_config",
            "cloud_init_drive",
            "user_data",
            "vendor_data"
        ]
    );
}

/// A value of an option that is not Proxmox's default.
fn sample(option: &ProxmoxOption) -> Value {
    let stem = option.name.trim_end_matches(|c: char| c.is_ascii_digit());
    let text = match stem {
        "affinity" => "0-3,8",
        "agent" => "fstrim_cloned_disks=1,type=isa",
        "amd-sev" => "es,no-debug=1",
        "args" => "-no-hpet",
        "audio" => "device=AC97",
        "cpu" => "host,flags=+aes;-pcid",
        "hookscript" => "local:snippets/hook.sh",
        "hostpci" => "mapping=gpu,pcie=1",
        "hotplug" => "disk,network",
        "intel-tdx" => "tdx,vsock-cid=3",
        "ivshmem" => "size=16",
        "machine" => "q35,viommu=intel",
        "numa" if option.name != "numa" => "cpus=0,memory=512",
        "parallel" => "/dev/parport0",
        "rng" => "/dev/urandom,period=10",
        "serial" => "socket",
        "smbios" => "serial=a1",
        "spice_enhancements" => "foldersharing=1",
        "startdate" => "2026-01-31",
        "usb" => "spice",
        "vga" => "virtio,memory=32",
        "virtiofs" => "share,cache=always",
        "vmstatestorage" => "local-zfs",
        "watchdog" => "ib700,action=reset",
        _ => {
            return match &option.spec.kind {
                Kind::Switch { default } => json!(default.as_deref() != Some("1")),
                Kind::Integer { max, .. } => json!(max.map_or(7, |max| max.min(7))),
                Kind::Number { .. } => json!(2.5),
                Kind::Words { words, default } => {
                    json!(words.iter().find(|word| default.as_ref() != Some(word)).unwrap())
                }
                Kind::Text { .. } | Kind::Parts { .. } => panic!("{} has no sample", option.name),
            };
        }
    };
    json!(text)
}

/// Every option is planned, written, recorded, seen to drift, and taken out again; nothing else is touched.
#[test]
fn every_option_by_proxmoxs_own_name_comes_and_goes() {
    let base = format!("{SAME}smbios1: uuid=2a412a64-96f9-4fde-833e-49d4ac1df615\n");
    for option in proxmox::options().values() {
        let value = sample(option);
        let vm = wished(&format!(r#"{TEXT}, "proxmox": {{ "{}": {value} }}"#, option.name));
        let own = |vm: &DesiredVm, live: &VmObserved| {
            let rows = options::rows_for(vm, Some(live)).filter(|row| row.option.is_some());
            options::render(rows, (vm, live, false), None, None).unwrap()
        };
        let before = live(&base);
        let written = own(&vm, &before);
        assert_eq!(written.options().collect::<Vec<_>>(), [option.name], "{value}");
        let after = before.after(&written);
        assert!(own(&vm, &after).is_empty(), "{}: {value} differs for ever", option.name);

        let text = written.set[option.name].clone();
        let recorded = |applied: &str| {
            let mut record = Record::adopted("default", id(), "2a412a64-96f9-4fde-833e-49d4ac1df615");
            record.applied.insert(option.key, applied);
            live(&with_record(&base, &record)).after(&written)
        };
        let ours = recorded(&text);
        assert!(ours.record.valid().is_some(), "{}", option.name);
        // Another value is set back, and one that the file does not say any more goes.
        assert!(options::rows_in(ours.record.valid().unwrap()).any(|row| row.name == option.key), "{}", option.name);
        let gone = own(&wished(TEXT), &ours);
        let left = ours.after(&gone);
        if option.name == "smbios1" {
            assert_eq!(left.uuid, ours.uuid);
        } else if option.name == "agent" {
            assert_eq!((left.agent, left.options.get("agent")), (ours.agent, before.options.get("agent")), "{gone:?}");
        } else {
            assert_eq!(left.options.get(option.name), None, "{}: {gone:?}", option.name);
        }
        assert!(own(&wished(TEXT), &before).is_empty(), "{}: what the file never said stays", option.name);
    }
}

/// Cards, their addresses and options of the boot disk are planned, written, recorded and taken out again: a card goes
/// only if phoenix made it, and whatever else was there stays as it was.
#[test]
fn cards_and_disk_options_come_and_go() {
    let uuid = "2a412a64-96f9-4fde-833e-49d4ac1df615";
    let others = "boot: order=scsi0\nnet2: e1000=bc:24:11:00:00:02,bridge=vmbr0,firewall=1,host-tunnel=1\n\
                  scsi0: local:1000/vm-1000-disk-0.raw,discard=on,size=4G,serial=a1\nide2: local:cloudinit,media=cdrom\n";
    let base = format!("{SAME}{others}smbios1: uuid={uuid}\n");
    let check = |keys: &str, made: &[&str], set: &[(&str, &str)], left: &[(&str, &str)]| {
        let vm = wished(&format!("{TEXT}, {keys}"));
        let own = |vm: &DesiredVm, live: &VmObserved| {
            let rows = options::rows_for(vm, Some(live)).filter(|row| row.option.is_some());
            options::render(rows, (vm, live, false), None, None).unwrap()
        };
        let written = own(&vm, &live(&base));
        let is: Vec<(&str, &str)> = written.set.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(is, set, "{keys}");
        let mut record = Record::adopted("default", id(), uuid);
        record.made = made.iter().map(|slot| (*slot).to_owned()).collect();
        for row in options::rows_for(&vm, None).filter(|row| row.option.is_some()) {
            let text = row.wished(&vm, None).value().map(ToString::to_string).unwrap_or_default();
            record.applied.insert(row.applied_as(), &text);
        }
        let after = live(&with_record(&base, &record)).after(&written);
        assert!(own(&vm, &after).is_empty(), "{keys}: differs for ever: {:?}", own(&vm, &after));
        let end = after.after(&own(&wished(TEXT), &after));
        for (option, value) in left {
            assert_eq!(end.options.get(option).unwrap_or_default(), *value, "{keys}");
        }
        assert!(own(&wished(TEXT), &end).is_empty(), "{keys}");
    };
    let net0 = "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5";
    check(
        r#""networks": { "net0": { "vlan_tag": 6, "firewall": true } }"#,
        &[],
        &[("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=6")],
        &[("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0")],
    );
    check(
        r#""networks": { "net0": { "vlan_tag": 5, "mac": "bc:24:11:00:00:09" } }"#,
        &[],
        &[("net0", "virtio=BC:24:11:00:00:09,bridge=vmbr0,tag=5")],
        &[("net0", "virtio=BC:24:11:00:00:09,bridge=vmbr0")],
    );
    let added =
        r#""networks": { "net1": { "bridge": "vmbr1", "rate_mbps": 2.5, "ip": "10.0.1.5/24", "gw": "10.0.1.1" } }"#;
    let set = [("ipconfig1", "gw=10.0.1.1,ip=10.0.1.5/24"), ("net1", "virtio,bridge=vmbr1,rate=2.5")];
    check(added, &["net1"], &set, &[("net1", ""), ("ipconfig1", ""), ("net0", net0)]);
    check(added, &[], &set, &[("net1", "virtio,bridge=vmbr1"), ("ipconfig1", "")]);
    check(
        r#""networks": { "net2": { "model": "e1000", "firewall": false, "mtu": 1400 } }"#,
        &[],
        &[("net2", "e1000=BC:24:11:00:00:02,bridge=vmbr0,host-tunnel=1,mtu=1400")],
        &[("net2", "e1000=BC:24:11:00:00:02,bridge=vmbr0,host-tunnel=1")],
    );
    check(
        r#""boot_disk_options": { "discard": "ignore", "ssd": true, "mbps_rd": 12.5 }"#,
        &[],
        &[("scsi0", "local:1000/vm-1000-disk-0.raw,size=4G,serial=a1,mbps_rd=12.5,ssd=1")],
        &[("scsi0", "local:1000/vm-1000-disk-0.raw,size=4G,serial=a1")],
    );
    let drive = r#""cdrom": { "ide0": "local:iso/a.iso" }"#;
    let set = [("ide0", "local:iso/a.iso,media=cdrom")];
    check(drive, &["ide0"], &set, &[("ide0", "")]);
    check(drive, &[], &set, &[("ide0", "none,media=cdrom")]);
    check(
        r#""boot_devices": ["net0", "scsi0"]"#,
        &[],
        &[("boot", "order=net0;scsi0")],
        &[("boot", "order=net0;scsi0")],
    );
    check(r#""boot_devices": ["scsi0"]"#, &[], &[], &[("boot", "order=scsi0")]);
    check(
        r#""boot_disk_options": { "discard": "on" }"#,
        &[],
        &[],
        &[("scsi0", "local:1000/vm-1000-disk-0.raw,size=4G,serial=a1")],
    );
}

/// A configuration with a record in its notes.
fn with_record(conf: &str, record: &Record) -> String {
    let notes = phoenix::observed::with_record("text", record).unwrap();
    let rest: String = conf.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect();
    encode_description(&notes) + &rest
}
