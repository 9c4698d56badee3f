import os

from redis import Redis

connection = Redis(unix_socket_path=os.environ["APP_SOCKET"])
