#!/usr/bin/env bash
# A project with two VMs, and one more that its file does not declare any more.
config() {
    printf '{ "hypervisor": { "project": "shop" }, "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }%s] }\n' "$1" >phoenix_vm_configs.json
}
config ', { "vm_id": 1001, "vm_name": "db" }, { "vm_id": 1002, "vm_name": "mail" }'
phoenix apply --auto-approve
config ', { "vm_id": 1002, "vm_name": "mail" }'
