//! Config in, diagnostics out: one pair of files per code, and the inputs that no editor would save.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use phoenix::config::codes::{self, Code};
use phoenix::config::scripts::{MOST_LINTS, ScriptText, Shell, unchecked};
use phoenix::config::{
    self, BadData, BadScript, BadSecret, FeatureFiles, Loaded, MAX_BYTES, MAX_ITEMS, MAX_VMS, MOST_OF_A_KIND,
    SecretRead, Source, Unread,
};
use phoenix::diag::Diagnostic;
use phoenix::model::SecretName;
use phoenix::ui::diagnostics::{json_line, render};
use phoenix::ui::report;
use serde_json::{Value, json};
use snapbox::{Assert, Data};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config")
}

/// The scripts directory that all cases see.
fn features(dir: &str) -> FeatureFiles {
    match dir {
        "absent" => return FeatureFiles::Missing,
        "../out" => return FeatureFiles::Outside,
        "a/linked" => return FeatureFiles::Link("a".to_owned()),
        _ => {}
    }
    let script = || Ok(b"#!/bin/sh\ntrue\n".to_vec());
    FeatureFiles::Found(BTreeMap::from([
        ("two_ways.sh".to_owned(), script()),
        ("feature_two_ways.sh".to_owned(), script()),
        ("feature_install_nginx.sh".to_owned(), script()),
        ("unreadable.sh".to_owned(), Err(BadScript::Unreadable("permission denied".to_owned()))),
        ("linked.sh".to_owned(), Err(BadScript::Link)),
        ("pipe.sh".to_owned(), Err(BadScript::NotAFile)),
        ("huge.sh".to_owned(), Err(BadScript::TooBig)),
        ("latin1.sh".to_owned(), Ok(b"echo \xe4\n".to_vec())),
        ("nothing.sh".to_owned(), Ok(b"\n".to_vec())),
        ("binary.sh".to_owned(), Ok(b"\x7fELF\0".to_vec())),
    ]))
}

/// The scripts, and files and secrets that a config names.
struct Beside {
    needs_secrets: bool,
}

impl config::Beside for Beside {
    fn features(&mut self, directory: &str) -> FeatureFiles {
        features(directory)
    }

    fn data(&mut self, path: &str) -> Result<Vec<u8>, BadData> {
        match path {
            "cloud/web.yaml" => Ok(b"#cloud-config\nhostname: ${vm_name}\n".to_vec()),
            "cloud/broken.yaml" => Ok(b"#cloud-config\npackages:\n  - nginx\n - curl\n".to_vec()),
            "cloud/latin1.yaml" => Ok(b"#cloud-config\n# \xe4\n".to_vec()),
            "../web.yaml" => Err(BadData::Outside),
            "linked/web.yaml" => Err(BadData::Link("linked".to_owned())),
            "cloud" => Err(BadData::NotAFile),
            "cloud/huge.yaml" => Err(BadData::TooBig),
            "cloud/new.yaml" => Err(BadData::Unstaged),
            "cloud/secret.yaml" => Err(BadData::Unreadable("permission denied".to_owned())),
            _ => Err(BadData::Missing),
        }
    }

    fn secret(&mut self, name: &SecretName) -> Result<SecretRead, BadSecret> {
        let read = |text: &[u8]| Ok(SecretRead { bytes: text.to_vec(), is_exposed: false });
        let file = |why| Err(BadSecret::File(why));
        match name {
            SecretName::Env(name) => match name.as_str() {
                "PHOENIX_SECRET_WEB" => read(b"hunter2"),
                "PHOENIX_SECRET_ODD" => read(b"it's #1"),
                "PHOENIX_SECRET_NUMBER" => read(b"123456"),
                "PHOENIX_SECRET_LATIN1" => Err(BadSecret::NotText),
                _ => Err(BadSecret::Unset),
            },
            SecretName::File(name) => match name.as_str() {
                "secrets/web" => read(b"hunter2\n"),
                "secrets/open" => Ok(SecretRead { bytes: b"hunter2\n".to_vec(), is_exposed: true }),
                "secrets/empty" => read(b"\n"),
                "secrets/two-lines" => read(b"hunter2\nhunter3\n"),
                "secrets/umlaut" => read("h\u{fc}nter2".as_bytes()),
                "secrets/hash" => read(b"$6$salt$hunter2"),
                "secrets/latin1" => read(b"h\xfcnter2"),
                "../web" => file(BadData::Outside),
                "linked/web" => file(BadData::Link("linked".to_owned())),
                "secrets" => file(BadData::NotAFile),
                "secrets/huge" => file(BadData::TooBig),
                "secrets/unreadable" => file(BadData::Unreadable("permission denied".to_owned())),
                _ => file(BadData::Missing),
            },
        }
    }

    fn needs_secrets(&self) -> bool {
        self.needs_secrets
    }
}

fn source(text: &str) -> Source {
    Source::new("config.json", text)
}

fn load(text: &str) -> Loaded {
    config::load_with(&source(text), &mut Beside { needs_secrets: true })
}

fn told(diagnostics: &[Diagnostic]) -> BTreeSet<&'static str> {
    diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

/// Inputs of the codes that have no text to keep in a file.
fn generated(code: &str) -> Option<Vec<u8>> {
    match code {
        "P001" => Some(b" \n".to_vec()),
        "P005" => Some(vec![b' '; 40 << 20]),
        "P006" => Some(b"{\n  \"virtual_machines\": [\"\xe4\"]\n}\n".to_vec()),
        "P007" => Some(b"\xef\xbb\xbf{ \"virtual_machines\": [] }\n".to_vec()),
        "P008" => Some("[".repeat(10_000).into_bytes()),
        _ => None,
    }
}

/// A feature's script, as it would be read from a file.
fn script(text: &str) -> ScriptText {
    ScriptText {
        path: "features/hello.sh".to_owned(),
        text: text.into(),
        read: text.into(),
        is_feature: true,
        inside: None,
        commands: Vec::new(),
    }
}

/// What is said about a script, of what the programs said of it that read it.
fn of_script(code: &Code) -> (Vec<Diagnostic>, String) {
    let script = script("#!/bin/bash\nif [[ $1 == web ]]; then\n  rm -r $2/cache\nfi fi\n");
    let diagnostics = match code.code {
        "P095" => {
            let bash =
                "/usr/bin/bash: line 4: syntax error near unexpected token `fi'\n/usr/bin/bash: line 4: `fi fi'\n";
            vec![script.refused(Shell::Bash, bash, &script.path)]
        }
        "P096" => {
            let comment = json!({
                "file": "-", "line": 3, "endLine": 3, "column": 3, "endColumn": 8, "level": "warning", "code": 2115,
                "message": "Use \"${var:?}\" to ensure this never expands to /cache .", "fix": null,
            });
            script.lints(json!({ "comments": [comment] }).to_string().as_bytes()).unwrap()
        }
        _ => vec![unchecked("scripts are not checked: there is no program `bash`", "install `bash`")],
    };
    let source = Source::new(script.path.clone(), script.text.to_string());
    let text = render(&diagnostics, Some(&source), false);
    (diagnostics, text)
}

/// What is said about two files of a directory that have the same section.
fn of_two_files() -> (Vec<Diagnostic>, String) {
    let file = |name: &str, memory: u32| {
        Source::new(format!("vms/{name}.json"), format!("{{\n  \"vm_defaults\": {{ \"memory_mb\": {memory} }}\n}}\n"))
    };
    let vms = Source::new("vms/web.json", "{ \"virtual_machines\": [] }");
    let source = Source::joined("vms", vec![file("all", 2048), file("db", 4096), vms]);
    let loaded = config::load_with(&source, &mut Beside { needs_secrets: true });
    let text = render(&loaded.diagnostics, Some(&source), false);
    (loaded.diagnostics, text)
}

/// What is said about the case of a code.
fn said(code: &Code, file: Option<&Path>) -> (Vec<Diagnostic>, String) {
    let plain = |diagnostic: Diagnostic| {
        let text = render(std::slice::from_ref(&diagnostic), None, false);
        (vec![diagnostic], text)
    };
    let bytes = match (file, code.code) {
        (Some(file), _) => fs::read(file).unwrap(),
        (None, "P002") => return plain(config::unread("config.json", &Unread::NotAFile)),
        (None, "P003") => {
            return plain(config::unread("config.json", &Unread::Refused("permission denied".to_owned())));
        }
        (None, "P004") => return plain(config::unread("config.json", &Unread::Missing)),
        (None, "P088") => return of_two_files(),
        (None, "P095" | "P096" | "P097") => return of_script(code),
        (None, other) => generated(other).unwrap_or_else(|| panic!("{other} has no fixture")),
    };
    match config::decode("config.json", bytes) {
        Err(diagnostic) => plain(*diagnostic),
        Ok(source) => {
            let loaded = config::load_with(&source, &mut Beside { needs_secrets: code.code != "P093" });
            let errors = loaded.diagnostics.iter().any(Diagnostic::is_error);
            assert_eq!(loaded.desired.is_none(), errors, "{}", code.code);
            let text = render(&loaded.diagnostics, Some(&source), false);
            (loaded.diagnostics, text)
        }
    }
}

#[test]
fn every_code_has_its_case_and_its_words() {
    let mut files = BTreeMap::<String, BTreeMap<String, PathBuf>>::new();
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let kind = path.extension().unwrap().to_str().unwrap().to_owned();
        let code = name.split('-').next().unwrap().to_owned();
        let twice = files.entry(code).or_default().insert(kind, path);
        assert_eq!(twice, None, "two cases of one code");
    }
    let table: BTreeSet<&str> = codes::ALL.iter().map(|code| code.code).collect();
    assert_eq!(table.len(), codes::ALL.len(), "a code stands twice in the table");
    assert!(codes::ALL.is_sorted_by_key(|code| code.code));
    for code in files.keys() {
        assert!(table.contains(code.as_str()), "fixtures/config has files for {code}, which is no code");
    }
    for code in codes::ALL {
        let input = files.get(code.code).and_then(|kinds| kinds.get("json"));
        let expected = match input {
            Some(json) => json.with_extension("txt"),
            None => fixtures().join(format!("{}-generated.txt", code.code)),
        };
        let (diagnostics, text) = said(code, input.map(PathBuf::as_path));
        let of_code = diagnostics.iter().find(|diagnostic| diagnostic.code == code.code);
        let severity = of_code.unwrap_or_else(|| panic!("{} is not told:\n{text}", code.code)).severity;
        assert_eq!(severity, code.severity, "{}", code.code);
        // `SNAPSHOTS=overwrite cargo test --test config` writes them anew.
        Assert::new().action_env("SNAPSHOTS").eq(text, Data::read_from(&expected, None).raw());
    }
}

/// A key of the file, what the schema says of it, and the config before and after its value.
struct Spot {
    key: String,
    rule: Value,
    before: String,
    after: String,
}

impl Spot {
    fn with(&self, value: &Value) -> String {
        format!("{}{value}{}", self.before, self.after)
    }
}

/// Every key of the file, every entry of its lists.
fn spots() -> Vec<Spot> {
    let schema: Value = serde_json::from_str(config::schema::embedded()).unwrap();
    let mut found = Vec::new();
    for (at, before, after) in [
        ("/properties/hypervisor", r#"{"virtual_machines":[],"hypervisor":{"#, "}}"),
        ("/properties/vm_defaults", r#"{"virtual_machines":[],"vm_defaults":{"#, "}}"),
        (
            "/properties/profiles/additionalProperties",
            r#"{"virtual_machines":[{"vm_id":900,"vm_name":"p","profile":"p"}],"profiles":{"p":{"#,
            "}}}",
        ),
        ("/properties/virtual_machines/items", r#"{"virtual_machines":[{"#, "}]}"),
    ] {
        for (key, rule) in schema.pointer(&format!("{at}/properties")).unwrap().as_object().unwrap() {
            let needed = [("vm_id", "1000"), ("vm_name", "\"a\"")].into_iter().filter(|(other, _)| other != key);
            let others: Vec<String> = needed.map(|(other, value)| format!("\"{other}\":{value},")).collect();
            let others = if at.ends_with("/items") { others.concat() } else { String::new() };
            let before = format!("{before}{others}\"{key}\":");
            let mut add = |key: &str, rule: &Value, open: &str, close: &str| {
                found.push(Spot {
                    key: key.to_owned(),
                    rule: rule.clone(),
                    before: format!("{before}{open}"),
                    after: format!("{close}{after}"),
                });
            };
            add(key, rule, "", "");
            if let Some(items) = rule.get("items") {
                add(key, items, "[", "]");
            }
            for (inner, rule) in rule.get("properties").and_then(Value::as_object).into_iter().flatten() {
                add(inner, rule, &format!("{{\"{inner}\":"), "}");
            }
        }
    }
    found
}

#[test]
fn every_value_of_a_wrong_type_is_told_in_words_and_with_a_way_out() {
    let values =
        [json!(null), json!(true), json!(7), json!(2.5), json!("x y"), json!("4G"), json!([7]), json!({"a": 1})];
    let mut seen = 0;
    for spot in spots() {
        assert!(spot.rule.get("type").is_some(), "{}", spot.key);
        for value in &values {
            let text = spot.with(value);
            for wrong in load(&text).diagnostics.iter().filter(|diagnostic| diagnostic.code == "P016") {
                seen += 1;
                let hint = wrong.hint.as_deref().unwrap_or_else(|| panic!("{text}: {} without a hint", wrong.message));
                assert!(!wrong.message.contains("another type"), "{text}: {}", wrong.message);
                // What is to be written instead has the right type.
                let (word, rest) = hint.split_once(" `").unwrap_or((hint, ""));
                let (instead, _) = rest.split_once('`').unwrap_or(("", ""));
                if matches!(word, "write" | "for example")
                    && wrong.message.starts_with(&format!("`{}`", spot.key))
                    && let Ok(instead) = serde_json::from_str::<Value>(instead)
                {
                    let again = load(&spot.with(&instead));
                    assert!(again.diagnostics.iter().all(|other| other.code != "P016"), "{text}: {hint}");
                }
            }
        }
    }
    assert!(seen > 400, "only {seen} values have a wrong type");
}

/// Checks the hint for a key that an object does not know.
#[track_caller]
fn leads(object: &str, key: &str, says: &str) {
    let text = match object {
        "" => format!(r#"{{"virtual_machines":[],"{key}":1}}"#),
        "hypervisor" => format!(r#"{{"virtual_machines":[],"hypervisor":{{"{key}":1}}}}"#),
        "vm" => format!(r#"{{"virtual_machines":[{{"vm_id":1000,"vm_name":"web","{key}":1}}]}}"#),
        "card" => format!(r#"{{"virtual_machines":[],"vm_defaults":{{"networks":{{"net1":{{"{key}":1}}}}}}}}"#),
        "disk" => format!(r#"{{"virtual_machines":[],"vm_defaults":{{"disks":{{"scsi1":{{"{key}":1}}}}}}}}"#),
        inner => format!(r#"{{"virtual_machines":[],"vm_defaults":{{"{inner}":{{"{key}":1}}}}}}"#),
    };
    let loaded = load(&text);
    let unknown = loaded.diagnostics.iter().find(|told| told.code == "P014").unwrap_or_else(|| panic!("{text}"));
    let hint = unknown.hint.as_deref().unwrap_or_default();
    assert!(hint.contains(says), "{object} {key}: {hint}");
}

#[test]
fn words_of_other_tools_lead_to_the_keys_that_are_meant() {
    for (key, own) in [
        ("name", "`vm_name`"),
        ("vmid", "`vm_id`"),
        ("cores", "`cpu_cores`"),
        ("sockets", "`cpu_sockets`"),
        ("memory", "`memory_mb`"),
        ("disk_size_gb", "`boot_disk_size_gb`"),
        ("storage_pool", "`boot_disk_storage`"),
        ("datastore_id", "`boot_disk_storage`"),
        ("clone_from_vmid", "`template_name`"),
        ("clone", "`template_name`"),
        ("template", "`template_name`"),
        ("template_image", "`cloud_image`"),
        ("dependencies", "`depends_on`"),
        ("onboot", "`start_at_boot`"),
        ("on_boot", "`start_at_boot`"),
        ("startup", "`boot_order`"),
        ("sshkeys", "`user_config`"),
        ("ciuser", "`user_config`"),
        ("ipconfig0", "`network_config`"),
        ("ipconfig1", r#"`"networks": { "net1": { "ip""#),
        ("vcpus", r#"`"proxmox": { "vcpus""#),
        ("ci_wait", r#"`"timeouts": { "cloud_init""#),
        ("unused0", r#"{ "volume""#),
        ("ide2", "`cdrom` holds CD drives"),
        ("rate", "`\"networks\": { \"net0\": { \"rate_mbps\""),
        ("net0", "`network_bridge`"),
        ("net7", r#"`"networks": { "net1""#),
        ("scsi0", "`boot_disk_size_gb`"),
        ("scsi1", r#"`"disks": { "scsi1""#),
        ("ostype", "`os_type`"),
        ("scsihw", r#"`"proxmox": { "scsihw""#),
        ("agent", r#"`"ready": "running"`"#),
        ("bios", r#"`"proxmox": { "bios""#),
        ("machine", r#"`"proxmox": { "machine""#),
        ("cpu", r#"`"proxmox": { "cpu""#),
        ("balloon", r#"`"proxmox": { "balloon""#),
        ("node_name", "`node`"),
        ("discard", r#"`"boot_disk_options": { "discard""#),
        ("macaddr", r#"{ "net0": { "mac""#),
        ("vlan_tag", r#"`"networks": { "net0": { "vlan_tag""#),
        ("firewall", r#"{ "net0": { "firewall""#),
        ("qm_options", "stand in `proxmox`"),
        ("stop_on_destroy", "flags of the command line"),
        ("memory-MB", "`memory_mb`"),
        ("cpuCores", "`cpu_cores`"),
        ("ip", "`network_config`"),
        ("sha256", "a key of `cloud_image`"),
        ("features_dir", "a key of `hypervisor`"),
        ("memroy_mb", "`memory_mb`"),
        ("colour", "known here: "),
    ] {
        leads("vm", key, own);
    }
}

#[test]
fn words_of_other_tools_lead_to_the_keys_of_other_objects() {
    for (object, key, own) in [
        ("", "vms", "`virtual_machines`"),
        ("", "virtualMachines", "`virtual_machines`"),
        ("", "defaults", "`vm_defaults`"),
        ("", "memory_mb", "a key of a VM"),
        ("", "lxc_configs", "no key for containers"),
        ("hypervisor", "host", "`target`"),
        ("hypervisor", "api_token", "no key for logging in"),
        ("network_config", "gateway", "`gw`"),
        ("network_config", "nameservers", "`nameserver`"),
        ("user_config", "ssh_keys", "`ssh_authorized_keys`"),
        ("user_config", "passwd", "`password` names the secret"),
        ("user_config", "hashed_passwd", "no key for hashes of passwords"),
        ("cloud_image", "url", "`source`"),
        ("timeouts", "agent", "`guest_agent`"),
        ("network_config", "mac", r#"{ "net0": { "mac""#),
        ("proxmox", "pool", "write `pool` at the VM"),
        ("proxmox", "ipconfig2", "write `networks.net2.ip`"),
        ("proxmox", "memory_mb", "write `memory_mb` at the VM"),
        ("proxmox", "datastore", "`boot_disk_storage`; it stands at the VM"),
        ("disk", "size", "`size_gb`"),
        ("disk", "datastore_id", "`storage`"),
        ("disk", "cache", r#"`"options": { "cache""#),
        ("disk", "file_format", "no key for the format"),
        ("disk", "ip", "a key of `network_config`"),
        ("card", "tag", "`vlan_tag`"),
        ("card", "vlan_id", "`vlan_tag`"),
        ("card", "mac_address", "`mac`"),
        ("card", "rate", "`rate_mbps`"),
        ("card", "disconnected", "`link_down`"),
        ("cdrom", "interface", r#"`"ide0": "local:iso"#),
        ("boot_disk_options", "storage", "`boot_disk_storage` of the VM"),
    ] {
        leads(object, key, own);
    }
    let template = load(r#"{"virtual_machines":[{"vm_id":1000,"vm_name":"web","template":true}]}"#);
    assert!(template.diagnostics[0].hint.as_deref().unwrap().contains("`is_template`"), "{:?}", template.diagnostics);
    let linux = load(r#"{"virtual_machines":[],"vm_defaults":{"os_type":"debian"}}"#);
    assert_eq!(linux.diagnostics[0].hint.as_deref(), Some("did you mean `l26`?"));
}

/// One run tells what is wrong below a key that is misnamed, too.
#[test]
fn a_misnamed_key_hides_nothing_below_it() {
    #[track_caller]
    fn check(text: &str, codes: &str) {
        let loaded = load(text);
        let found: Vec<&str> = loaded.diagnostics.iter().map(|told| told.code).collect();
        assert_eq!(found.join(" "), codes, "{text}: {:#?}", loaded.diagnostics);
    }
    let vm = r#"{"vm_id":1000,"vm_name":"web"}"#;
    for container in ["vms", "machines", "servers", "virtualMachines", "VMs", "virtual-machines", "virtual_machine"] {
        check(&format!(r#"{{"{container}":[{vm}]}}"#), "P014");
        check(&format!(r#"{{"{container}":[{vm},{vm}]}}"#), "P014 P021 P022");
        let both =
            format!(r#"{{"virtual_machines":[{vm}],"{container}":[{{"vm_id":1001,"vm_name":"db","cpu_cores":0}}]}}"#);
        check(&both, "P014 P017");
    }
    check(r#"{"vms":[{"vmid":1000,"name":"web","cores":"two"}]}"#, "P014 P014 P014 P014 P016");
    check(r#"{"vms":[{"id":1000,"hostname":"web_1"}]}"#, "P014 P014 P014 P023");
    check(r#"{"vms":{"web":{"vm_id":1000}}}"#, "P014 P016");
    check(
        r#"{"defaults":{"memory":4,"networkConfig":{"address":"x"}},"vms":[]}"#,
        "P014 P014 P017 P014 P014 P060 P014",
    );
    check(
        r#"{"virtual_machines":[{"vm_id":1000,"vm_name":"a","mounts":[{"kind":"smb"}]}]}"#,
        "P014 P015 P015 P038 P014 P018",
    );
    let disk =
        |inner: &str| format!(r#"{{"virtual_machines":[{{"vm_id":1000,"vm_name":"a","disks":{{"scsi1":{inner}}}}}]}}"#);
    check(&disk(r#"{"size":20,"datastore_id":"tank"}"#), "P014 P014");
    check(&disk(r#"{"size":"20G"}"#), "P014 P016");
    check(&disk(r#"{"size_gb":"20G"}"#), "P016");
    check(&disk(r#"{"size_gb":0}"#), "P017");
    check(&disk(r#"{"import_from":["a"]}"#), "P016");
    check(&disk(r#"{"ssd":1}"#), "P077 P014");
    check(&disk("20"), "P016");
    // What is a guess, or means less than it says, is not taken for more.
    check(r#"{"virtual_machines":[],"vm_default":7}"#, "P014");
    check(r#"{"virtual_machines":[{"vm_id":1000,"vm_name":"a","cpu":{"cores":"x"}}]}"#, "P014");
    check(r#"{"virtual_machines":[{"vm_id":1000,"vm_name":"a","name":"a_b"}]}"#, "P014");
    check(r#"{"vm_defaults":{"name":"a_b"},"virtual_machines":[]}"#, "P014");
    let whose = load(r#"{"vms":[{"vmid":1000,"name":"web","cores":0}]}"#);
    assert_eq!(whose.diagnostics.iter().filter(|told| told.vm.is_some_and(|vm| vm.get() == 1000)).count(), 4);
}

#[test]
fn nothing_raw_reaches_the_terminal() {
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\u{7f}\u{7}";
    for text in [
        format!("{{ \"virtual_machines\": [ \"{hostile}\" ] }}"),
        format!("{{ \"{hostile}\": 1, \"virtual_machines\": [] }} {hostile}"),
        format!("{{ {hostile} }}"),
        format!("{{ \"virtual_machines\": [], /* {hostile} */ }}"),
        "{ \"virtual_machines\": [], \"\\u001b\\u009b\\u202e\": \"\\u0000\" }".to_owned(),
        r#"{ "virtual_machines": [{ "vm_id": 1, "vm_name": "\u001b[31m", "features": ["\u009b\u202e"] }] }"#.to_owned(),
    ] {
        let loaded = load(&text);
        assert!(!loaded.diagnostics.is_empty(), "{text:?}");
        let source = Source::new(format!("dir/{hostile}.json"), text);
        let shown = render(&loaded.diagnostics, Some(&source), false);
        let json: String =
            loaded.diagnostics.iter().map(|diagnostic| json_line(diagnostic, Some(&source)).to_string()).collect();
        for c in hostile.chars().filter(|c| !c.is_ascii() || c.is_ascii_control()) {
            assert!(!shown.contains(c), "{c:?} in {shown:?}");
            assert!(!json.contains(c), "{c:?} in {json:?}");
        }
    }
}

#[test]
fn line_breaks_of_windows_change_no_place() {
    let text = fs::read_to_string(fixtures().join("P014-unknown-key.json")).unwrap();
    let windows = text.replace('\n', "\r\n");
    let places = |text: &str| -> Vec<_> {
        load(text).diagnostics.iter().map(|diagnostic| json_line(diagnostic, Some(&source(text)))).collect()
    };
    assert_eq!(places(&text), places(&windows));
    assert!(load("{\r\n  \"virtual_machines\": []\r\n}\r\n").desired.is_some());
}

#[test]
fn deep_nesting_overflows_no_stack() {
    for text in ["[".repeat(10_000), "{\"a\":".repeat(10_000), format!("{}{}", "[".repeat(127), "]".repeat(127))] {
        assert_eq!(told(&load(&text).diagnostics), BTreeSet::from(["P008"]));
    }
    let quoted = format!("{{ \"virtual_machines\": [], \"$schema\": \"{}\" }}", "[".repeat(500));
    assert!(load(&quoted).desired.is_some());
    let names: Vec<String> = (0..3000).map(|n| format!("p{n}")).collect();
    let profiles: serde_json::Map<String, Value> = names.iter().map(|name| (name.clone(), json!({}))).collect();
    let many =
        json!({ "profiles": profiles, "virtual_machines": [{ "vm_id": 1000, "vm_name": "v", "profile": names }] });
    assert!(load(&many.to_string()).desired.is_none());
}

#[test]
fn broken_files_are_told_where_they_break() {
    #[track_caller]
    fn check(text: &str, code: &str, line: u64, column: u64, message: &str) {
        let loaded = load(text);
        let first = json_line(&loaded.diagnostics[0], Some(&source(text)));
        let word = |key: &str| first[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| first[key].as_u64().unwrap_or_default();
        assert_eq!(
            (word("code").as_str(), number("line"), number("column"), word("message").as_str()),
            (code, line, column, message)
        );
    }
    check("{", "P009", 1, 1, "this `{` is never closed");
    check("{}\n{}", "P009", 2, 1, "something follows the end of the config");
    check("{\n \"a\" 1 }", "P009", 2, 6, "a `:` is missing after the key");
    check("{\n \"a\": True }", "P009", 2, 7, "`True` is not JSON");
    check("{\n \"ä\": \"x\n }", "P009", 2, 7, "this string is never closed");
    check("{\n \"ä\": \"x\n, \"b\": \"y\" }", "P009", 2, 9, "a string contains a raw line break or control character");
    check("{ \"a\": 04 }", "P009", 1, 9, "the number is not written as JSON does");
    check(
        "{ \"virtual_machines\": [], \"$schema\": \"\\x41\" }",
        "P009",
        1,
        40,
        "the string contains an escape that JSON does not know",
    );
    check("[]", "P016", 1, 1, "the config must be an object, not a list");
    check("nonsense", "P009", 1, 1, "`nonsense` is not JSON");
}

#[test]
fn one_mistake_makes_no_other() {
    // Without a space anywhere, as machines write it.
    for (text, code) in [
        (r#"{"virtual_machines":[{"vm_id":1000,"vm_name":"ab"},]}"#, "P011"),
        (r#"{"virtual_machines":[{"vm_id":1000,"vm_name":"ab","cpu_cores":2,"colour":-1}]}"#, "P014"),
        (r#"{"vm_defaults":{"memory_mb":32.0},"virtual_machines":[]}"#, "P013"),
        (r#"{"virtual_machines":[{"vm_id":1000,"vm_name":"ab","tags":["a","b c"]}]}"#, "P024"),
        (r#"{"virtual_machines":[{"vm_id":01000,"vm_name":"ab"}]}"#, "P009"),
    ] {
        assert_eq!(told(&load(text).diagnostics), [code].into(), "{text}");
    }
}

#[test]
fn one_mistake_hides_no_other() {
    let text = r#"{
        // what a day
        "virtual_machines": [
            { "vm_id": 1000, "vm_name": "web_1", "colour": 1, "cpu_cores": 2.0, "memory_mb": null,
              "features": ["nope"], "volumes": [{ "type": "smb", "share": "a", "path": "x", "mount_point": "/etc" }] },
            { "vm_id": 1000, "vm_name": "ok", "vm_name": "ok2", },
            7
        ]
    }"#;
    let expected = "P010 P011 P012 P013 P014 P016 P018 P021 P023 P025 P028 P034 P035";
    assert_eq!(told(&load(text).diagnostics), expected.split(' ').collect());
}

#[test]
fn values_come_from_the_nearest_place() {
    use phoenix::model::{Key, Origin};
    let loaded = load(
        r#"{
        "hypervisor": { "persistent_storage": { "mount_point": "/data/" } },
        "vm_defaults": { "memory_mb": 2048, "cpu_cores": 8, "tags": ["Zed", "abc"] },
        "virtual_machines": [
            { "vm_id": 2000, "vm_name": "b", "memory_mb": 1024, "tags": ["Web", "db", "web"], "description": "x\n\n" },
            { "vm_id": 1000, "vm_name": "a", "features": ["nginx", "base_setup"] }
        ]
    }"#,
    );
    assert_eq!(loaded.diagnostics, []);
    let desired = loaded.desired.unwrap();
    let [a, b] = desired.vms.as_slice() else { panic!("two VMs") };
    assert_eq!((a.vm_id.get(), a.memory_mb, a.cpu_cores, a.boot_disk_size_gb), (1000, 2048, 8, 50));
    assert_eq!((b.vm_id.get(), b.memory_mb, b.cpu_cores), (2000, 1024, 8));
    assert_eq!(a.tags, ["abc", "zed"]);
    assert_eq!(b.tags, ["db", "web"]);
    assert_eq!(b.description, "x");
    let origin = |key| (a.origins.of(key), b.origins.of(key));
    assert_eq!(origin(Key::MemoryMb), (Origin::VmDefaults, Origin::Vm));
    assert_eq!(origin(Key::BootDiskSizeGb), (Origin::BuiltIn, Origin::BuiltIn));
    assert_eq!(origin(Key::VmId), (Origin::Vm, Origin::Vm));
    assert_eq!(desired.settings.persistent_storage.mount_point, "/data");
    let scripts: Vec<_> = desired.scripts.features.values().map(|s| (s.file.as_str(), s.from.as_str())).collect();
    let nginx = ("feature_install_nginx.sh", "features/feature_install_nginx.sh");
    assert_eq!(scripts, [("base_setup.sh", "built-in"), nginx]);
    assert_eq!(desired.scripts.common.unwrap().from, "built-in");
}

#[test]
fn profiles_stand_between_the_defaults_and_the_vm() {
    use phoenix::model::{Key, Origin};
    let loaded = load(
        r#"{
        "vm_defaults": {
            "memory_mb": 2048, "cpu_cores": 8, "tags": ["all"], "proxmox": { "cpu": "host", "balloon": 0, "vga": "std" },
            "networks": { "net1": { "bridge": "vmbr1", "vlan_tag": 7 }, "net2": {} },
            "boot_disk_options": { "ssd": 1, "discard": "on" }, "cloud_image": { "source": "local:import/a.qcow2" }
        },
        "profiles": {
            "worker": {
                "memory_mb": 8192, "tags": ["worker"], "proxmox": { "cpu": "max", "vga": null },
                "networks": { "net0": { "bridge": "vmbr9" }, "net1": { "vlan_tag": 8 }, "net2": null },
                "boot_disk_options": { "ssd": null, "cache": "none" }, "template_name": "mine"
            },
            "big": { "memory_mb": 65536, "cpu_sockets": 2, "networks": { "net1": { "firewall": true } } }
        },
        "virtual_machines": [
            { "vm_id": 1000, "vm_name": "a", "profile": "worker" },
            { "vm_id": 1001, "vm_name": "b", "profile": ["worker", "big"], "tags": ["own"], "proxmox": { "cpu": "kvm64" } },
            { "vm_id": 1002, "vm_name": "c", "profile": ["big", "worker"] },
            { "vm_id": 1003, "vm_name": "d" }
        ]
    }"#,
    );
    assert_eq!(loaded.diagnostics, []);
    let desired = loaded.desired.unwrap();
    let [a, b, c, d] = desired.vms.as_slice() else { panic!("four VMs") };
    let memory: Vec<u32> = desired.vms.iter().map(|vm| vm.memory_mb).collect();
    assert_eq!(memory, [8192, 65536, 8192, 2048]);
    let profile = |name: &str| Origin::Profile(name.into());
    let origins = |key| [a, b, c, d].map(|vm| vm.origins.of(key));
    assert_eq!(origins(Key::MemoryMb), [profile("worker"), profile("big"), profile("worker"), Origin::VmDefaults]);
    assert_eq!(origins(Key::CpuCores), [const { Origin::VmDefaults }; 4]);
    assert_eq!(origins(Key::CpuSockets), [Origin::BuiltIn, profile("big"), profile("big"), Origin::BuiltIn]);
    assert_eq!(origins(Key::Tags), [profile("worker"), Origin::Vm, profile("worker"), Origin::VmDefaults]);
    assert_eq!((&a.tags[..], &b.tags[..]), (&["worker".to_owned()][..], &["own".to_owned()][..]));
    // The nearer of a template and an image.
    assert_eq!((a.template_name.as_str(), &a.cloud_image), ("mine", &None));
    assert!(d.cloud_image.is_some());
    // Part by part, each with its own origin.
    let option = |vm: &phoenix::model::DesiredVm, name: &str| {
        let it = vm.proxmox.get(name).or_else(|| vm.networks.get(name))?;
        Some((it.value.clone(), it.origin.clone()))
    };
    assert_eq!(option(a, "cpu"), Some(("max".to_owned(), profile("worker"))));
    assert_eq!(option(b, "cpu"), Some(("kvm64".to_owned(), Origin::Vm)));
    assert_eq!(option(a, "balloon"), Some(("0".to_owned(), Origin::VmDefaults)));
    assert_eq!((option(a, "vga"), option(d, "vga").is_some()), (None, true));
    let net1 = |vm| option(vm, "net1").unwrap();
    assert!(net1(a).0.contains("bridge=vmbr1") && net1(a).0.contains("tag=8") && !net1(a).0.contains("firewall"));
    assert!(net1(b).0.contains("tag=8") && net1(b).0.contains("firewall=1"), "{}", net1(b).0);
    assert_eq!(
        [a, b, c, d].map(|vm| net1(vm).1),
        [profile("worker"), profile("big"), profile("worker"), Origin::VmDefaults]
    );
    assert_eq!((option(a, "net2"), option(d, "net2").is_some()), (None, true));
    assert_eq!((a.network_bridge.as_str(), d.network_bridge.as_str()), ("vmbr9", "vmbr0"));
    let disk = |vm: &phoenix::model::DesiredVm| vm.boot_disk_options.clone().unwrap();
    assert!(
        disk(a).value.contains("cache=none") && disk(a).value.contains("discard=on") && !disk(a).value.contains("ssd")
    );
    assert_eq!((disk(a).origin, disk(d).origin), (profile("worker"), Origin::VmDefaults));
}

/// What is checked of the defaults and of a VM is checked of a profile, and of a VM with what it has from there.
#[test]
fn what_a_profile_says_is_checked_as_if_the_vm_said_it() {
    for (profile, own, code, at) in [
        (r#""features": ["no_such"]"#, "", "P028", "/profiles/p/features/0"),
        (r#""depends_on": ["nobody"]"#, "", "P047", "/profiles/p/depends_on/0"),
        (r#""depends_on": ["web"]"#, "", "P048", "/profiles/p/depends_on/0"),
        (r#""template_name": "web""#, "", "P045", "/profiles/p/template_name"),
        (r#""ready": "running""#, r#""features": ["base_setup"]"#, "P075", "/virtual_machines/0/features"),
        (r#""features": ["base_setup"]"#, r#""ready": "running""#, "P075", "/profiles/p/features"),
        (r#""started": false"#, r#""is_template": true"#, "P071", "/profiles/p/started"),
        (r#""user_config": { "username": "Admin" }"#, "", "P073", "/profiles/p/user_config/username"),
        (r#""cloud_image": { "source": "https://a/b.qcow2" }"#, "", "P069", "/profiles/p/cloud_image/source"),
        (r#""boot_disk_options": { "ssd": "maybe" }"#, "", "P074", "/profiles/p/boot_disk_options/ssd"),
        (
            r#""volumes": [{ "type": "nfs", "share": "a", "path": "/x", "mount_point": "/etc" }]"#,
            "",
            "P035",
            "/profiles/p/volumes/0/mount_point",
        ),
    ] {
        let own = if own.is_empty() { String::new() } else { format!(", {own}") };
        let text = format!(
            r#"{{ "profiles": {{ "p": {{ {profile} }} }}, "virtual_machines": [{{ "vm_id": 1000, "vm_name": "web", "profile": "p"{own} }}] }}"#
        );
        let loaded = load(&text);
        let found = loaded.diagnostics.iter().find(|diagnostic| diagnostic.code == code);
        let found = found.unwrap_or_else(|| panic!("{text}: {code} is not told: {:?}", loaded.diagnostics));
        let key = at.rsplit('/').find(|step| step.parse::<usize>().is_err()).unwrap();
        let span = found.span.unwrap_or_else(|| panic!("{text}: {code} has no place"));
        let (profiles, vms) = text.split_at(text.find("\"virtual_machines\"").unwrap());
        let expected = if at.starts_with("/profiles") { profiles } else { vms };
        let offset = if at.starts_with("/profiles") { 0 } else { profiles.len() };
        let key_at = offset + expected.find(&format!("\"{key}\"")).unwrap();
        assert!((key_at..key_at + 100).contains(&span.start), "{text}: {code} at {span:?}");
    }
}

#[test]
fn a_large_broken_file_on_one_line_is_shown_in_parts() {
    let vms: Vec<String> =
        (0..5_000).map(|n| format!(r#"{{"vm_id":{},"vm_name":"vm_{n}","tags":["a","b"]}}"#, 1000 + n)).collect();
    let text = format!("{{\"virtual_machines\":[{}]}}", vms.join(","));
    assert!((text.len() as u64) < MAX_BYTES);
    let loaded = load(&text);
    assert_eq!(loaded.diagnostics.len(), MOST_OF_A_KIND + 1);
    assert_eq!(loaded.diagnostics.iter().map(Diagnostic::number).sum::<usize>(), 5_000);
    let shown = render(&loaded.diagnostics, Some(&source(&text)), false);
    assert!(shown.lines().all(|line| line.chars().count() < 300));
}

/// What is said does not grow with what is wrong: the number of problems, and the size of every face.
#[test]
fn of_very_many_problems_some_are_listed_and_all_are_counted() {
    #[track_caller]
    fn check(code: &str, number: usize, text: &str) {
        let loaded = load(text);
        let of_code: Vec<&Diagnostic> = loaded.diagnostics.iter().filter(|d| d.code == code).collect();
        assert_eq!(of_code.iter().map(|d| d.number()).sum::<usize>(), number, "{code}");
        assert_eq!(of_code.len(), number.min(MOST_OF_A_KIND + 1), "{code}");
        let codes = told(&loaded.diagnostics).len();
        assert!(loaded.diagnostics.len() <= codes * (MOST_OF_A_KIND + 1) && loaded.desired.is_none());
        let checked = [report::Checked {
            name: "config.json".to_owned(),
            source: Some(source(text)),
            vms: None,
            diagnostics: loaded.diagnostics,
        }];
        for (face, shown) in [
            ("human", report::human(&checked)),
            ("json", report::json::render(&checked)),
            ("gitlab", report::gitlab::render(&checked)),
            ("sarif", report::sarif::render(&checked)),
            ("junit", report::junit::render(&checked)),
            ("github", report::github::render(&checked)),
            ("summary", report::github::summary(&checked)),
        ] {
            assert!(shown.len() < codes * MOST_OF_A_KIND * 2000, "{code} as {face}: {} bytes", shown.len());
            let more = format!("{} more problems of this kind are not listed", number - number.min(MOST_OF_A_KIND));
            let bounded_itself = matches!(face, "github" | "summary");
            assert!(number <= MOST_OF_A_KIND || bounded_itself || shown.contains(&more), "{code} as {face}");
        }
    }
    let list = |entries: usize, one: &dyn Fn(usize) -> String| (0..entries).map(one).collect::<Vec<_>>().join(",");
    let vms = |n: usize, one: &dyn Fn(usize) -> String| format!(r#"{{"virtual_machines":[{}]}}"#, list(n, one));
    let in_vm = |key: &str, n: usize, one: &dyn Fn(usize) -> String| {
        format!(r#"{{"virtual_machines":[{{"vm_id":1000,"vm_name":"a","{key}":[{}]}}]}}"#, list(n, one))
    };
    check("P014", 20_000, &format!(r#"{{"virtual_machines":[],{}}}"#, list(20_000, &|n| format!(r#""k{n}":1"#))));
    check("P015", 40_000, &vms(20_000, &|_| "{}".to_owned()));
    check("P016", 20_000, &vms(20_000, &|_| "7".to_owned()));
    check("P021", 9_999, &vms(10_000, &|n| format!(r#"{{"vm_id":1000,"vm_name":"v{n}"}}"#)));
    check("P022", 9_999, &vms(10_000, &|n| format!(r#"{{"vm_id":{},"vm_name":"v"}}"#, 1000 + n)));
    check("P012", 9_999, &format!(r#"{{"virtual_machines":[],{}}}"#, list(10_000, &|_| r#""a":1"#.to_owned())));
    check("P011", 5_000, &vms(5_000, &|_| r#"{"a":1,}"#.to_owned()));
    check("P013", 5_000, &in_vm("tags", 5_000, &|_| "1.0".to_owned()));
    check("P028", 5_000, &in_vm("features", 5_000, &|n| format!(r#""f{n}""#)));
    check("P030", 4_999, &in_vm("features", 5_000, &|_| r#""base_setup""#.to_owned()));
    let volume = |at: String| format!(r#"{{"type":"nfs","share":"aa","path":"/x","mount_point":"{at}"}}"#);
    check("P036", 4_999, &in_vm("volumes", 5_000, &|_| volume("/mnt/a".to_owned())));
    check("P037", 299, &in_vm("volumes", 300, &|n| volume(format!("/mnt{}", "/a".repeat(300 - n)))));
    let waits =
        |n: usize, other: &str| format!(r#"{{"vm_id":{},"vm_name":"v{n}","depends_on":["{other}"]}}"#, 1000 + n);
    check("P047", 5_000, &vms(5_000, &|n| waits(n, &format!("w{n}"))));
    check("P048", 2_500, &vms(5_000, &|n| waits(n, &format!("v{}", n ^ 1))));
    // One ring of many VMs is one problem, and not a long one.
    check("P048", 1, &vms(5_000, &|n| waits(n, &format!("v{}", (n + 1) % 5_000))));
}

#[test]
fn more_than_a_config_can_have_is_refused_as_a_whole() {
    #[track_caller]
    fn check(codes: &[&'static str], text: &str) {
        assert_eq!(told(&load(text).diagnostics), codes.iter().copied().collect(), "{}", &text[..60]);
    }
    for one in ["1,", "[],", "{} ", "01 ", "// \n", "/**/", "a:1,", "'a'", "\"\","] {
        check(&["P005"], &format!("{{\"virtual_machines\":[{}]}}", one.repeat(MAX_ITEMS + 1)));
    }
    let vms: Vec<String> = (0..=MAX_VMS).map(|n| format!(r#"{{"vm_id":{},"vm_name":"v{n}"}}"#, 1000 + n)).collect();
    check(&["P019"], &format!(r#"{{"virtual_machines":[{}]}}"#, vms.join(",")));
    let tags: Vec<String> = (0..200).map(|n| format!(r#""t{n}""#)).collect();
    let head = format!(r#"{{"vm_defaults":{{"tags":[{}]}},"virtual_machines":["#, tags.join(","));
    check(&[], &format!("{head}{}]}}", vms[..2_000].join(",")));
    check(&["P005"], &format!("{head}{}]}}", vms[..5_000].join(",")));
}

#[test]
fn whatever_is_broken_something_is_said() {
    let whole = fs::read_to_string(fixtures().join("../spec/example-2.1.json")).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let (before, after) = whole.split_at(at);
        for put in ["", "\"", "{", "]", ",", "-", "\\", "\n", "\u{1b}", "é", "//", "null"] {
            for rest in [after, &after[1..], ""] {
                let text = format!("{before}{put}{rest}");
                let loaded = load(&text);
                let errors = loaded.diagnostics.iter().any(Diagnostic::is_error);
                assert_eq!(loaded.desired.is_none(), errors, "{text}");
                if serde_json::from_str::<Value>(&text).is_err() {
                    assert!(errors, "{text}");
                }
                let inside = |d: &Diagnostic| d.span.is_some_and(|s| s.start <= s.end && s.end <= text.len());
                assert!(loaded.diagnostics.iter().all(inside), "{text}");
                assert!(!render(&loaded.diagnostics, Some(&source(&text)), false).contains('\u{1b}'));
            }
        }
    }
}

#[test]
fn what_shells_say_of_a_script_leads_to_its_line() {
    #[track_caller]
    fn check(text: &str, shell: Shell, said: &str, marked: Option<&str>, says: &str) {
        let found = script(text).refused(shell, said, "features/hello.sh");
        assert_eq!(found.span.map(|span| &text[span.start..span.end]), marked, "{said}");
        let whole = format!("{}; {}", found.message, found.hint.as_deref().unwrap_or_default());
        assert!(whole.contains(says), "{whole}");
    }
    let text = "if true; then\n\techo \u{e4} fi \n\n";
    let end = "bash: line 4: syntax error: unexpected end of file\n";
    check(text, Shell::Bash, end, Some("echo \u{e4} fi"), "opened above and not closed");
    let dash = "sh: 1: Syntax error: \"fi\" unexpected\n";
    check(
        text,
        Shell::Sh,
        dash,
        Some("if true; then"),
        "sh, which the first line names, cannot read the script: Syntax",
    );
    let other =
        "/dev/stdin: line 2: warning: here-document at line 1\n/dev/stdin: line 2: `echo: 1: x'\nbash: line 1: a: 7: b";
    check(text, Shell::Bash, other, Some("if true; then"), "bash cannot read the script: a: 7: b; correct the script");
    // Lines that no script has, and words without a line.
    check(text, Shell::Bash, "bash: line 0: x\n", Some("if true; then"), "script: x;");
    check(text, Shell::Bash, "bash: line 99999: x\n", Some("echo \u{e4} fi"), "script: x;");
    check(text, Shell::Bash, "bash: line 99999999999999999999: x\n", None, "99999999999999999999: x;");
    check("\n", Shell::Bash, "bash: line 7: x\n", Some(""), "script: x;");
    check(text, Shell::Bash, "bash: no memory\n", None, "script: bash: no memory;");
    check(text, Shell::Bash, "", None, "it does not say why");
    check(
        text,
        Shell::Bash,
        &format!("bash: line 1: {}", "\u{e4}".repeat(9000)),
        Some("if true; then"),
        "\u{e4}\u{2026}; ",
    );
    // The way out of what is often the reason.
    check("if a\r\nfi\r\n", Shell::Bash, "bash: line 2: x", Some("fi"), "CR LF, as on Windows");
    let python = "#!/usr/bin/env -S A=1 python3 -u\nx\n";
    check(python, Shell::Bash, "bash: line 2: x", Some("x"), "although the first line names `python3`");
}

#[test]
fn the_shell_of_a_script_is_who_runs_it() {
    for (first, named) in [
        ("#!/bin/bash", Some(Shell::Bash)),
        ("#! /usr/bin/env  bash", Some(Shell::Bash)),
        ("#!/usr/bin/env -S A=b bash -e\r", Some(Shell::Bash)),
        ("#!/bin/dash -e", Some(Shell::Sh)),
        ("#!sh", Some(Shell::Sh)),
        ("#!/usr/bin/env", None),
        ("#!", None),
        ("#!/usr/bin/python3", None),
        ("#cloud-config", None),
        ("", None),
    ] {
        let feature = script(&format!("{first}\ntrue\n"));
        assert_eq!((feature.named(), feature.run_by()), (named, Some(Shell::Bash)), "{first}");
        assert_eq!(ScriptText { is_feature: false, ..feature }.run_by(), named, "{first}");
    }
}

#[test]
fn what_shellcheck_says_is_listed_as_far_as_it_is_short() {
    let script = script("echo \u{e4} $a\n\n");
    let comment = |n: usize, level: &str, to: usize| json!({ "line": n, "endLine": n, "column": 8, "endColumn": to, "level": level, "code": 2086, "message": "x\ny" });
    let lints = |comments: Vec<Value>| script.lints(json!({ "comments": comments }).to_string().as_bytes()).unwrap();
    let marked = |found: &Diagnostic| found.span.map(|span| &script.text[span.start..span.end]);
    let some = lints(vec![comment(9, "warning", 99), comment(1, "info", 9), comment(1, "error", 10)]);
    assert_eq!(some.iter().map(marked).collect::<Vec<_>>(), [Some("$a"), Some("")]);
    assert!(some.iter().all(|found| found.message == "shellcheck SC2086: x" && !found.is_error()));
    assert_eq!(lints((0..MOST_LINTS).map(|_| comment(1, "error", 9)).collect()).len(), MOST_LINTS);
    let many = lints((0..MOST_LINTS + 7).map(|n| comment(n, "error", 0)).collect());
    assert_eq!(many.iter().map(Diagnostic::number).sum::<usize>(), MOST_LINTS + 7);
    assert_eq!(many.len(), MOST_LINTS + 1);
    assert!(many[MOST_LINTS].message.starts_with("7 more findings of shellcheck"), "{}", many[MOST_LINTS].message);
    for garbled in ["", "[]", "{}", "{\"comments\":[{}]}", "{\"comments\":[]} x"] {
        assert_eq!(script.lints(garbled.as_bytes()), None, "{garbled}");
    }
}

#[test]
fn the_scripts_of_a_config_with_errors_are_known_too() {
    let vm = r#"{"vm_id":1000,"vm_name":"a","features":["install_nginx","base_setup"],"user_data":{"file":"cloud/web.yaml"}}"#;
    for more in ["", r#","colour":1"#] {
        let loaded = load(&format!(r#"{{"virtual_machines":[{vm}]{more}}}"#));
        assert_eq!(loaded.desired.is_none(), !more.is_empty());
        let paths: Vec<&str> = loaded.scripts.iter().map(|script| script.path.as_str()).collect();
        assert_eq!(paths, ["features/feature_install_nginx.sh"]);
    }
}
