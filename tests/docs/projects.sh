#!/usr/bin/env bash
# Two projects on one node: the VM is the first one's, and the second one has its entry already.
vm='{ "vm_id": 1000, "vm_name": "web" }'
echo "{ \"hypervisor\": { \"project\": \"old\" }, \"virtual_machines\": [$vm] }" >old.json
echo "{ \"hypervisor\": { \"project\": \"new\" }, \"virtual_machines\": [$vm] }" >new.json
phoenix -c old.json apply --auto-approve
