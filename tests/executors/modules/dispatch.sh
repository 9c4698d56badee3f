# The command of a pipe whose faults a test chooses: `dispatch.sh PYTHON PROXY [-option…] -- NODE…`; the file `mode` names the fault.
python=$1 proxy=$2
shift 2
echo "$@" >> asked
while [ "$1" != -- ]; do shift; done
shift
case "$(cat mode)" in
    fails) echo no machine is up >&2; exit 3 ;;
    version) exec "$python" -P -c "import flowq; flowq.__version__ = '9.4.1'; from flowq.worker.node.node import main; main()" ;;
    noise) exec yes not a node ;;
    twice | again | altered | silent) exec "$python" "$proxy" "$(cat mode)" "$@" ;;
    hangs) touch begun; exec sleep 1000 ;;
    env) env > engine; exec "$@" ;;
    *) exec "$@" ;;
esac
