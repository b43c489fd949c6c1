#!/bin/sh
# Writes the configuration of this server and starts it. Its role is in the file of its last run, which
# the Sentinels have had rewritten. On the very first start, the first server is the master of the others.
#
# HOST and PORT are this server's, FIRST and FIRST_PORT the first server's, CONF and DATA directories, and BIND the addresses
# to listen on, all of them when it is not set.
#
# Redis replays its append-only file as the default user, even when that user is off, and drops every transaction with a
# command that this user may not use. So the default user may use every command, and nobody can log in as that user.
set -eu
umask 077
config="$DATA/redis.conf" users="$DATA/users.acl"

role=""
if [ -f "$config" ]; then
	role=$(grep '^replicaof ' "$config" || true)
elif [ "$HOST:$PORT" != "$FIRST:$FIRST_PORT" ]; then
	role="replicaof $FIRST $FIRST_PORT"
fi

cat >"$users" <<END
user default off ~* &* +@all
user probe on nopass sanitize-payload resetkeys resetchannels -@all +ping
user stormfold on >$STORMFOLD_PASSWORD $(cat "$CONF/acl/function.acl")
user replication on >$REPLICATION_PASSWORD resetkeys resetchannels -@all +psync +replconf +ping
user sentinel on >$SENTINEL_PASSWORD resetkeys allchannels -@all +multi +exec +slaveof +replicaof +ping +subscribe +publish +info +role +config|rewrite +client|setname +client|kill +script|kill
END

cat "$CONF/redis/redis.conf" - >"$config.new" <<END
bind ${BIND:-* -::*}
port $PORT
dir $DATA
aclfile $users
masteruser replication
masterauth $REPLICATION_PASSWORD
replica-announce-ip $HOST
replica-announce-port $PORT
$role
END
mv "$config.new" "$config"
exec redis-server "$config"
