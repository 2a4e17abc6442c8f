#!/bin/bash
# In front of the web server of a stratum 1: one origin, clients from anywhere.
awk --file `dirname $0`/customhelps.awk --source '{
setoption("http_port", "8000 accel defaultsite=localhost:8081 no-vhost")
setoption("cache_peer", "localhost parent 8081 0 no-query originserver")
commentout("http_access allow NET_LOCAL")
insertline("^http_access deny all", "http_access allow all")
setoption("collapsed_forwarding", "off")
setoptionparameter("cache_dir", 3, "20000")
print
}'
