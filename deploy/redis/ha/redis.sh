#!/bin/sh
# Writes the configuration of this server and starts it. The role is that of its previous configuration file, which the Sentinels
# update. On the very first start, the first server is the master.
#
# HOST and PORT are those of this server, FIRST and FIRST_PORT those of the first one. CONF and DATA are directories. BIND is the
# addresses to listen on, by default all.
#
# Redis replays its append-only file as the default user, even if that user is off, and drops every transaction with a command
# that the user may not use. So the default user may use every command, but nobody can log in as that user.
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
