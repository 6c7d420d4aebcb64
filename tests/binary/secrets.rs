//! Secrets as passwords and in user data: how they come, change and leave, on the embedded node and through the node's
//! programs; and that their values are nowhere but where they belong.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sha_crypt::{PasswordHash, PasswordVerifier as _, ShaCrypt};

use super::places::Place;
use super::world::{Ran, Scene, check};

/// Nothing else looks like them.
const FIRST: &str = "Kanarienvogel7 $HOME 'x'";
const SECOND: &str = "-Zeisig42\"\\";
const THIRD: &str = "Stieglitz23";

fn config(user: &str) -> String {
    format!(r#"{{ "virtual_machines": [{{ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8{user} }}] }}"#)
}

const ENV: &str = r#", "user_config": { "username": "admin", "password": { "env": "PHOENIX_SECRET_WEB" } }"#;
const FILE: &str = r#", "user_config": { "username": "admin", "password": { "file": "secrets/web" },
  "ssh_authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@desk"] }"#;

/// Runs phoenix with a secret in its environment. No value is in what it says, nor in any file, that of the VM among
/// them; but in those of the secrets, and in snippets.
#[track_caller]
fn run(scene: &Scene, secret: &str, arguments: &[&str]) -> Ran {
    let mut command = scene.command(arguments);
    command.env("PHOENIX_SECRET_WEB", secret).env("GITHUB_STEP_SUMMARY", scene.path("summary.md"));
    if secret.is_empty() {
        command.env_remove("PHOENIX_SECRET_WEB");
    }
    let ran = Ran::of(command.output().unwrap());
    is_free_of_secrets(&format!("{}{}", ran.out, ran.err), &format!("{arguments:?} says it"));
    search(&scene.path("."), arguments);
    ran
}

#[track_caller]
fn is_free_of_secrets(text: &str, where_: &str) {
    for secret in ["Kanarienvogel7", "Zeisig42", "Stieglitz23"] {
        assert!(!text.contains(secret), "{where_}:\n{text}");
    }
}

#[track_caller]
fn search(dir: &Path, arguments: &[&str]) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() && !["secrets", "vault", "snippets"].iter().any(|name| path.ends_with(name)) {
            search(&path, arguments);
        } else if kind.is_file() {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            is_free_of_secrets(&text, &format!("{arguments:?} writes it to {}", path.display()));
        }
    }
}

/// The VM has the hash of this password.
#[track_caller]
fn has(scene: &Scene, password: &str) {
    let conf = scene.conf(1000);
    let hash = conf.lines().find_map(|line| line.strip_prefix("cipassword: ")).unwrap_or_else(|| panic!("{conf}"));
    let hash = PasswordHash::new(hash).unwrap();
    assert!(ShaCrypt::SHA256.verify_password(password.as_bytes(), &hash).is_ok(), "{password}");
}

#[track_caller]
fn is_done(scene: &Scene, secret: &str) {
    let plan = run(scene, secret, &["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "the plan is not empty: {}{}", plan.out, plan.err);
}

fn apply(scene: &Scene, secret: &str) -> Ran {
    run(scene, secret, &["apply", "--auto-approve", "--json"])
}

fn secret_file(scene: &Scene, name: &str, text: &str, mode: u32) {
    let path = scene.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn everywhere(story: impl Fn(&Scene)) {
    story(&Scene::with_node(&config("")));
    for place in [Place::Here, Place::Ssh] {
        if place.is_possible() {
            story(&place.scene(&config("")));
        }
    }
}

#[test]
fn a_password_comes_changes_and_leaves() {
    everywhere(|scene| {
        scene.declare(&config(ENV));
        // Without the value nothing is planned; whether the file is right can be said.
        check(&run(scene, "", &["plan"]), 3, &["P092", "PHOENIX_SECRET_WEB", "export PHOENIX_SECRET_WEB="]);
        check(&run(scene, "", &["validate"]), 0, &["P093", "PHOENIX_SECRET_WEB"]);
        check(&run(scene, FIRST, &["plan"]), 0, &["password=secret PHOENIX_SECRET_WEB"]);
        check(&apply(scene, FIRST), 0, &[]);
        has(scene, FIRST);
        is_done(scene, FIRST);
        // A look needs no value.
        check(&run(scene, "", &["status"]), 0, &["P093"]);

        // A saved plan is for the value that was there.
        let changed = "secret PHOENIX_SECRET_WEB (changed)";
        check(&run(scene, SECOND, &["plan", "--out", "plan.json"]), 0, &["user_config", changed]);
        let stale = run(scene, THIRD, &["apply", "plan.json"]);
        assert_ne!(stale.code, Some(0), "{}{}", stale.out, stale.err);
        has(scene, FIRST);
        for words in [&["plan", "--commands"][..], &["plan", "--format", "json"], &["show", "plan.json"], &["graph"]] {
            check(&run(scene, SECOND, words), 0, &[]);
        }
        check(&run(scene, SECOND, &["apply", "plan.json"]), 0, &["1 VM"]);
        has(scene, SECOND);
        is_done(scene, SECOND);
        check(&run(scene, SECOND, &["log"]), 0, &[]);
        check(&run(scene, SECOND, &["observe", "--out", "live.json"]), 0, &[]);

        // An administrator takes it away.
        scene.meddle(1000, |conf| conf.split_inclusive('\n').filter(|line| !line.starts_with("cipassword:")).collect());
        check(&run(scene, SECOND, &["plan"]), 0, &["user_config", "changed outside"]);
        check(&apply(scene, SECOND), 0, &[]);
        has(scene, SECOND);

        // The same value by another name changes nothing.
        secret_file(scene, "secrets/web", &format!("{SECOND}\n"), 0o600);
        scene.declare(&config(FILE));
        check(&apply(scene, ""), 0, &[]);
        is_done(scene, "");
        secret_file(scene, "secrets/web", THIRD, 0o644);
        check(&run(scene, "", &["plan"]), 0, &["P094", "chmod 600", "secret secrets/web (changed)"]);
        check(&apply(scene, ""), 0, &[]);
        has(scene, THIRD);
        // From another directory, and with keys in one write.
        secret_file(scene, "vault/secrets/web", FIRST, 0o600);
        scene.edit("me@desk", "you@desk");
        scene.edit("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAB", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAC");
        let vault = ["apply", "--auto-approve", "--secrets-dir", "vault"];
        check(&run(scene, "", &vault), 0, &[]);
        has(scene, FIRST);
        assert!(scene.conf(1000).contains("you%40desk"), "{}", scene.conf(1000));

        // What phoenix set, it takes away.
        scene.declare(&config(r#", "user_config": { "username": "admin" }"#));
        check(&run(scene, "", &["plan"]), 0, &["user_config", "a password → (none)"]);
        check(&apply(scene, ""), 0, &[]);
        assert!(!scene.conf(1000).contains("cipassword"), "{}", scene.conf(1000));
        is_done(scene, "");
    });
}

/// What an administrator set is left alone until the file names a secret; and an entry gets the name again.
#[test]
fn a_password_is_imported_by_its_name() {
    let scene = Scene::with_node(&config(ENV));
    check(&apply(&scene, FIRST), 0, &[]);
    check(&run(&scene, FIRST, &["observe", "--out", "live.json"]), 0, &[]);
    for (secret, code) in [(FIRST, 0), (SECOND, 2)] {
        let plan = run(&scene, secret, &["plan", "--against", "live.json", "--detailed-exitcode"]);
        assert_eq!(plan.code, Some(code), "{}{}", plan.out, plan.err);
    }
    let two = r#"{ "vm_defaults": { "user_config": { "password": { "env": "PHOENIX_SECRET_WEB" } } }, "virtual_machines": [] }"#;
    scene.declare(two);
    check(&run(&scene, FIRST, &["import", "1000"]), 0, &["1 VM written"]);
    assert!(scene.config().contains("PHOENIX_SECRET_WEB\""), "{}", scene.config());
    is_done(&scene, FIRST);
    scene.declare(r#"{ "virtual_machines": [] }"#);
    check(&run(&scene, "", &["import", "1000"]), 0, &["its password is not written"]);
    assert!(!scene.config().contains("password"), "{}", scene.config());
}

/// A run that died, or whose answer was lost, right after the write knows what it wrote.
#[test]
fn a_lost_answer_does_not_lose_what_was_written() {
    let scene = Scene::with_node(&config(""));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config(ENV));
    fs::write(scene.node().join("faults.json"), r#"[{ "op": "configure", "vm": 1000, "how": "lose" }]"#).unwrap();
    check(&apply(&scene, FIRST), 0, &[]);
    has(&scene, FIRST);
    is_done(&scene, FIRST);
}

/// Files of secrets lie where they must, and are read within bounds.
#[test]
fn files_of_secrets_are_ordinary_ones_below_their_directory() {
    let scene = Scene::with_node(&config(FILE));
    secret_file(&scene, "secrets/real", FIRST, 0o600);
    std::os::unix::fs::symlink("real", scene.path("secrets/web")).unwrap();
    check(&run(&scene, "", &["plan"]), 3, &["P091", "is reached through a link"]);
    fs::remove_file(scene.path("secrets/web")).unwrap();
    fs::create_dir(scene.path("secrets/web")).unwrap();
    check(&run(&scene, "", &["validate"]), 3, &["P091", "is not a regular file"]);
    fs::remove_dir(scene.path("secrets/web")).unwrap();
    check(&run(&scene, "", &["plan"]), 3, &["P092", "`secrets/web` is not there"]);
    secret_file(&scene, "secrets/web", &FIRST.repeat(60), 0o600);
    check(&run(&scene, "", &["plan"]), 3, &["P091", "is larger than 1024 bytes"]);
    secret_file(&scene, "secrets/web", "\n", 0o600);
    check(&run(&scene, "", &["plan"]), 3, &["P091", "is empty"]);
    scene.edit("secrets/web", "../secrets/web");
    check(&run(&scene, "", &["plan"]), 3, &["P091", "leads out of the directory"]);
}

const TEXT: &str = r##""secrets": { "db": { "env": "PHOENIX_SECRET_WEB" } }, "virtual_machines": [{ "vm_id": 1000, "vm_name": "web",
  "boot_disk_size_gb": 8, "started": false, "user_data": { "text": "#cloud-config\n# $${secret.db}\nruncmd:\n  - |\n    ${secret.db}\n" } }]"##;

/// The snippets of the node.
fn snippets(scene: &Scene) -> Vec<String> {
    let files = fs::read_dir(scene.path(".phoenix/node/root/var/lib/vz/snippets")).into_iter().flatten();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    for file in &files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn written(secret: &str) -> Vec<String> {
    vec![format!("#cloud-config\n# ${{secret.db}}\nruncmd:\n  - |\n    {secret}\n")]
}

#[test]
fn a_secret_in_user_data_is_in_the_snippet_alone() {
    everywhere(|scene| {
        scene.declare(&format!("{{ {TEXT} }}"));
        check(&run(scene, "", &["plan"]), 3, &["P092", "PHOENIX_SECRET_WEB"]);
        check(&run(scene, "", &["validate"]), 0, &["P093"]);
        check(&run(scene, FIRST, &["plan"]), 0, &["+    ${secret.db}"]);
        check(&apply(scene, FIRST), 0, &[]);
        assert_eq!(snippets(scene), written(FIRST));
        is_done(scene, FIRST);
        // A look needs no value, and takes it for the same.
        check(&run(scene, "", &["status", "--detailed-exitcode"]), 0, &["P093"]);

        // A saved plan is for the value that was there.
        let changed = "the same text, ${secret.db} changed";
        check(&run(scene, SECOND, &["plan", "--out", "plan.json"]), 0, &["user_data", changed]);
        let stale = run(scene, THIRD, &["apply", "plan.json"]);
        assert_ne!(stale.code, Some(0), "{}{}", stale.out, stale.err);
        for words in [&["plan", "--commands"][..], &["plan", "--format", "json"], &["show", "plan.json"], &["graph"]] {
            check(&run(scene, SECOND, words), 0, &[]);
        }
        check(&run(scene, SECOND, &["apply", "plan.json"]), 0, &["1 VM"]);
        assert_eq!(snippets(scene), written(SECOND));
        is_done(scene, SECOND);
        check(&run(scene, SECOND, &["log"]), 0, &[]);

        // What another wrote into the file is seen, and not shown.
        let dir = scene.path(".phoenix/node/root/var/lib/vz/snippets");
        let file = fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
        fs::write(file, format!("#cloud-config\npassword: {THIRD}\n")).unwrap();
        check(&run(scene, SECOND, &["plan"]), 0, &["! user_data", "is not shown, and is written again"]);
        check(&apply(scene, SECOND), 0, &[]);
        assert_eq!(snippets(scene), written(SECOND));

        // Another text in place of one with secrets, and the way back.
        scene.edit("#cloud-config\\n", "#cloud-config\\nhostname: web\\n");
        check(&run(scene, SECOND, &["plan"]), 0, &["+hostname: web", "what it is now has secrets and is not shown"]);
        check(&apply(scene, SECOND), 0, &[]);
        is_done(scene, SECOND);
        let declared = scene.config();
        scene.declare(r#"{ "virtual_machines": [] }"#);
        check(&run(scene, SECOND, &["import", "1000"]), 0, &["its `user_data` cannot be written: secrets stand in it"]);
        scene.declare(&declared);
        is_done(scene, SECOND);
        scene.edit("    ${secret.db}", "    true");
        check(&run(scene, SECOND, &["plan"]), 0, &["P103", "+    true"]);
        check(&apply(scene, SECOND), 0, &[]);
        assert_eq!(snippets(scene).len(), 1);
        is_done(scene, SECOND);
    });
}

/// A value that YAML would read as something else is refused, and not shown.
#[test]
fn a_secret_that_does_not_fit_is_refused() {
    let scene = Scene::with_node(&format!("{{ {} }}", TEXT.replace("  - |\\n    ", "  - ")));
    check(&run(&scene, &format!("{THIRD} #1"), &["plan"]), 3, &["P102", "the secret `db`", "'${secret.db}'"]);
    check(&run(&scene, THIRD, &["plan"]), 0, &[]);
}

/// A recording has nothing of a text with secrets, and a plan from it takes the file for what its name says.
#[test]
fn a_plan_from_a_recording_knows_a_snippet_by_its_name() {
    let scene = Scene::with_node(&format!("{{ {TEXT} }}"));
    check(&apply(&scene, FIRST), 0, &[]);
    check(&run(&scene, FIRST, &["observe", "--out", "live.json"]), 0, &[]);
    for (secret, code) in [(FIRST, 0), (SECOND, 2)] {
        let plan = run(&scene, secret, &["plan", "--against", "live.json", "--detailed-exitcode"]);
        assert_eq!(plan.code, Some(code), "{}{}", plan.out, plan.err);
    }
}
