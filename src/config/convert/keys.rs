//! What becomes of the keys of a VM of the former system.

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    /// It was looked at already.
    Known,
    /// A key of phoenix that takes the same value.
    Key(&'static str),
    /// It is worked out.
    WorkedOut,
    /// Nothing, and why.
    Nothing(&'static str),
}

const NEVER_READ: &str = "the former system never read it";
const SNAPSHOTS: &str = "phoenix takes a snapshot when it is asked to: `phoenix apply --snapshot`";
const FIREWALL: &str = "phoenix writes no rules of the firewall: /etc/pve/firewall stays as it is";
const IN_A_SCRIPT: &str = "what is set up inside the guest belongs in a feature script";
const ELSEWHERE: &str = "phoenix sets up VMs; names and certificates of the network are set up elsewhere";

/// What becomes of a key.
pub(super) fn becomes(key: &str) -> Becomes {
    use Becomes::{Key, Known, Nothing, WorkedOut};
    match key {
        "vmid" | "name" => Known,
        "cores" => Key("cpu_cores"),
        "sockets" => Key("cpu_sockets"),
        "memory_mb" => Key("memory_mb"),
        "disk_size_gb" => Key("boot_disk_size_gb"),
        "storage_pool" => Key("boot_disk_storage"),
        "network_bridge" => Key("network_bridge"),
        "is_template" => Key("is_template"),
        "start_at_boot" => Key("start_at_boot"),
        "boot_order" => Key("boot_order"),
        "boot_delay" => Key("boot_delay"),
        "features" => Key("features"),
        "description" => Key("description"),
        "tags" => Key("tags"),
        "template" | "clone_from_vmid" | "template_image" | "network_config" | "user_config" | "volumes"
        | "dependencies" => WorkedOut,
        "count" | "qm_options" | "mount_points" | "iptables_rules" => Nothing(NEVER_READ),
        "snapshots" | "template_snapshot_name" => Nothing(SNAPSHOTS),
        "firewall" | "docker_firewall_rules" => Nothing(FIREWALL),
        "portainer_role"
        | "portainer_admin_user"
        | "portainer_admin_password"
        | "portainer_config"
        | "portainer_environment_name"
        | "portainer_agent_hostname"
        | "docker_compose_files"
        | "docker_stacks"
        | "swarm_role"
        | "node_labels"
        | "trigger_sync_on_completion" => Nothing(IN_A_SCRIPT),
        "dns_records" | "traefik_service" => Nothing(ELSEWHERE),
        _ => Nothing("the former system has no such key"),
    }
}
