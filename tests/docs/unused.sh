#!/usr/bin/env bash
# A VM with a volume that a disk has left.
cat >phoenix_vm_configs.json <<'END'
{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "disks": { "scsi1": { "size_gb": 20 } } }] }
END
phoenix apply --auto-approve
sed -i 's/, "disks".*/ }] }/' phoenix_vm_configs.json
phoenix apply --auto-approve
