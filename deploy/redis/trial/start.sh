#!/bin/sh
# Writes who may do what, with the password from the Secret, and starts the server. CONF, DATA and RUN are directories, and
# BIND the addresses to listen on, all of them when it is not set.
#
# Redis replays its append-only file as the default user, even when that user is off, and drops every transaction with a
# command that this user may not use. So the default user may use every command, and nobody can log in as that user.
set -eu
umask 077
cat >"$RUN/users.acl" <<END
user default off ~* &* +@all
user probe on nopass sanitize-payload resetkeys resetchannels -@all +ping
user stormfold on >$STORMFOLD_PASSWORD $(cat "$CONF/acl/function.acl")
END
exec redis-server "$CONF/redis/redis.conf" --bind ${BIND:-'*' '-::*'} --port "$PORT" --dir "$DATA" --aclfile "$RUN/users.acl"
