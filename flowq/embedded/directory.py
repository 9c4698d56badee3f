"""The directory of the embedded server: its location, permissions and files."""

import errno
import os
import stat
from collections.abc import Mapping

from flowq.exceptions import ConfigError, FlowqError, ServerError
from flowq.user_home import absent_home

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
LONGEST_SOCKET_PATH = 100  # bytes; the kernels allow 107 (Linux) and 103 (macOS)


class Home:
    """The paths inside a state directory. Not a dataclass, to keep the watchdog's imports light."""

    __slots__ = ("alive_lock", "data", "pin", "root", "server_log", "users_lock", "watchdog_lock", "watchdog_log", "written_by")

    def __init__(self, root: str) -> None:
        self.root = root
        self.data = f"{root}/data"  # the append-only file
        self.written_by = f"{root}/written-by"  # product and version of the server that wrote it last
        self.users_lock = f"{root}/users.lock"
        self.watchdog_lock = f"{root}/keeper.lock"  # contains "<process id of the watchdog> <scope of that id>", then " stopping" while it stops the server
        self.alive_lock = f"{root}/alive.lock"
        self.pin = f"{root}/pinned"  # exists after `flowq server start`: keep the server while it is unused
        self.server_log = f"{root}/server.log"
        self.watchdog_log = f"{root}/keeper.log"

    @property
    def socket(self) -> str:
        """The path of the server's socket: below `root`, or, if that path is too long, the one in the watchdog's note.

        Without a note yet, it is the path of the note, where no server listens.
        """
        path = f"{self.root}/server.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        try:
            return os.readlink(self._note)
        except OSError:
            return self._note

    @property
    def _note(self) -> str:
        return f"{self.root}/socket"  # a symbolic link: made and replaced atomically, read in one call

    def settle_socket(self) -> str:
        """Create the socket's directory if needed and return the socket's path. Only the watchdog calls this."""
        path = self.socket
        if os.path.dirname(path) == self.root and path != self._note:
            return path
        if not _private(os.path.dirname(path)) or path == self._note:
            from tempfile import mkdtemp  # rarely needed, slow to import

            path = f"{mkdtemp(prefix='flowq-', dir='/tmp')}/server.sock"  # a short name, random and with mode 0700
            new = f"{self._note}.new"
            _remove(new)
            os.symlink(path, new)
            os.rename(new, self._note)
        return path

    def unpin(self) -> None:
        """Remove the pin, so that the server stops when it is unused."""
        _remove(self.pin)

    def tidy(self) -> None:
        """Remove the files of a stopped server: the pin, the socket, and the directory made for the socket."""
        self.unpin()
        path = self.socket
        _remove(path)
        if self.remove_place_of(path):
            _remove(self._note)

    def remove_place_of(self, socket: str) -> bool:
        """Remove the directory that was made for a socket; return whether there was one."""
        if os.path.dirname(socket) == self.root:
            return False
        try:
            os.rmdir(os.path.dirname(socket))
        except OSError:
            return False  # another program has put a file there: leave it
        return True


def locate(configured: str | None = None, environ: Mapping[str, str] = os.environ) -> Home:
    """Return the configured state directory, existing or not.

    Args:
        configured: a directory from `flowq.config`, which takes precedence over the defaults; None: there is none.
        environ: read for `FLOWQ_HOME` (unless `configured`), `XDG_STATE_HOME` and `HOME`.

    Raises:
        ConfigError: no directory is set and the user has no home.
    """
    chosen = configured or environ.get("FLOWQ_HOME")
    if chosen:
        return Home(os.path.abspath(os.path.expanduser(chosen)))
    state = environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):  # the XDG specification says to ignore a relative one
        return Home(os.path.join(os.path.normpath(state), "flowq"))
    user = os.path.expanduser("~")
    if not os.path.isabs(user):
        raise ConfigError("this user has no home directory for flowq's data: set FLOWQ_HOME to a directory")
    return Home(os.path.join(user, ".local", "state", "flowq"))


def check_readable(home: Home) -> None:
    """Check that it can be told whether there is a server in the directory, which need not exist.

    Raises:
        ConfigError: it cannot, because the directory is another user's, or not a directory.
    """
    try:
        os.stat(home.alive_lock)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unusable(home, error) from error


def unusable(home: Home, error: OSError) -> FlowqError:
    """Return the error for a directory that cannot be made, read or written."""
    if error.errno in NO_ROOM:
        return ServerError(f"the disk of {home.root}, where flowq's data are, is full ({error.strerror}): make room")
    return ConfigError(
        f"the directory for flowq's data, {home.root}, cannot be made or read: {error.strerror}: set FLOWQ_HOME to one that can"
    )


def prepare(home: Home) -> None:
    """Create the directory, readable for this user only, or check that an existing one is.

    Raises:
        ConfigError: it cannot be created, belongs to another user or is open to others, or would be below a home that does not exist.
        ServerError: its disk is full.
    """
    if absent := absent_home(home.root):
        raise ConfigError(
            f"the home directory of this user, {absent}, does not exist, and flowq's data would be below it: set FLOWQ_HOME to a directory"
        )
    try:
        os.makedirs(os.path.dirname(home.root), exist_ok=True)
        _make_private(home.root)
        _make_private(home.data)
    except OSError as error:
        raise unusable(home, error) from error
    status = os.stat(home.root)
    if status.st_uid != os.geteuid():
        raise ConfigError(
            f"{home.root} belongs to user {status.st_uid}, expected one of user {os.geteuid()}: set FLOWQ_HOME to a directory of your own"
        )
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(
            f"{home.root} has mode {mode:04o}, expected 0700: others could read or replace your data: chmod 700 {home.root}"
        )


def _make_private(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def _private(path: str) -> bool:
    """Return whether the path is a directory, not a link, that this user owns and others cannot open."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
