#!/bin/sh
# Writes the configuration of this Sentinel on its first start, and starts it. After that the Sentinel itself updates the file,
# which names the master.
#
# HOST and PORT are those of this Sentinel, FIRST and FIRST_PORT those of the first server. DATA is a directory. BIND is the
# addresses to listen on, by default all.
set -eu
umask 077
config="$DATA/sentinel.conf"

if [ ! -f "$config" ]; then
	# A Sentinel does not start while its master's name cannot be resolved.
	until getent hosts "$FIRST" >/dev/null; do sleep 1; done
	cat >"$config.new" <<END
bind ${BIND:-* -::*}
port $PORT
dir $DATA
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $HOST
sentinel announce-port $PORT
sentinel monitor stormfold $FIRST $FIRST_PORT 2
sentinel auth-user stormfold sentinel
sentinel auth-pass stormfold $SENTINEL_PASSWORD
sentinel down-after-milliseconds stormfold 5000
sentinel failover-timeout stormfold 30000
sentinel parallel-syncs stormfold 1
requirepass $SENTINEL_PASSWORD
sentinel sentinel-pass $SENTINEL_PASSWORD
END
	mv "$config.new" "$config"
fi
exec redis-server "$config" --sentinel
