#!/usr/bin/env bash
# A VM whose disk is to grow, which fails after its snapshot was taken.
cat >phoenix_vm_configs.json <<'END'
{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 50 }] }
END
phoenix apply --auto-approve
sed -i 's/50/60/' phoenix_vm_configs.json
echo '[{ "op": "resize", "how": "fail" }]' >.phoenix/node/faults.json
