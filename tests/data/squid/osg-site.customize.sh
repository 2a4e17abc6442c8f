#!/bin/bash
# A site of the kind the packages' documentation describes: networks, memory, disk.
awk --file `dirname $0`/customhelps.awk --source '{
setoption("acl NET_LOCAL src", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16")
setoption("cache_mem", "256 MB")
setoptionparameter("cache_dir", 3, "200000")
setoption("workers", 4)
print
}'
