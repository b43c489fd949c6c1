#!/bin/sh
# Writes who may do what, with the password from the Secret, and starts the server. CONF, DATA and RUN are directories, and
# BIND the addresses to listen on, all of them when it is not set.
set -eu
umask 077
cat >"$RUN/users.acl" <<END
user default off
user probe on nopass sanitize-payload resetkeys resetchannels -@all +ping
user stormfold on >$STORMFOLD_PASSWORD $(cat "$CONF/acl/function.acl")
END
exec redis-server "$CONF/redis/redis.conf" --bind ${BIND:-'*' '-::*'} --port "$PORT" --dir "$DATA" --aclfile "$RUN/users.acl"
