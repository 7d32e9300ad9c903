# launch.sh PIDFILE ENVFILE PROGRAM ARGS...
# Writes the program's process id (exec keeps it), reads its settings, becomes the program. The process id is written
# here, not by supervisord, so that the programs of a supervisord that was killed can still be found and stopped.
echo $$ >"$1"
if [ -n "$2" ]; then
    set -a
    . "$2"
    set +a
fi
shift 2
exec "$@"
