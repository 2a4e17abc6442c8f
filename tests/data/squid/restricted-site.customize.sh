#!/bin/bash
# Only the strata, with the package's list of them; a log that is kept for a month.
awk --file `dirname $0`/customhelps.awk --source '{
setoption("acl NET_LOCAL src", "10.0.0.0/255.255.0.0 192.168.1.0/24")
uncomment("acl MAJOR_CVMFS")
insertline("^# http_access deny !RESTRICT_DEST", "http_access deny !MAJOR_CVMFS")
setoption("cache_mem", "8 GB")
setoptionparameter("cache_dir", 2, "/data/squid/cache")
setoptionparameter("cache_dir", 3, "500000")
setoption("logfile_rotate", "31")
setoption("snmp_port", "3401")
print
}'
