#!/bin/sh
# Writes the ACL file, with the password from the Secret, and starts the server. CONF, DATA and RUN are directories. BIND is the
# addresses to listen on, by default all.
#
# Redis replays its append-only file as the default user, even if that user is off, and drops every transaction with a command
# that the user may not use. So the default user may use every command, but nobody can log in as that user.
set -eu
umask 077
cat >"$RUN/users.acl" <<END
user default off ~* &* +@all
user probe on nopass sanitize-payload resetkeys resetchannels -@all +ping
user stormfold on >$STORMFOLD_PASSWORD $(cat "$CONF/acl/function.acl")
END
exec redis-server "$CONF/redis/redis.conf" --bind ${BIND:-'*' '-::*'} --port "$PORT" --dir "$DATA" --aclfile "$RUN/users.acl"
