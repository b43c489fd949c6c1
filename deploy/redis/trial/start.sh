#!/bin/sh
# Writes who may do what, with the password from the Secret, and starts the server.
set -eu
umask 077
cat >/run/redis/users.acl <<END
user default off
user probe on nopass sanitize-payload resetkeys resetchannels -@all +ping
user stormfold on >$STORMFOLD_PASSWORD $(cat /etc/stormfold/acl/function.acl)
END
exec redis-server /etc/stormfold/redis/redis.conf
