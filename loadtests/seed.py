"""People for a load test: ``python -m loadtests.seed`` brings them into the database of a service.

It works on the data folder of a service, running or not, or on what DATABASE_URL and VALKEY_URL name. Nothing that is
there is changed. Everybody has the password of ``loadtests.crowd.people``, which is hashed once; so never do this where
people's own data are.
"""

import sys
import time
from argparse import ArgumentParser
from pathlib import Path

import asyncpg
import click

from app.cli.running import run_with_resources
from app.db.transaction import raw_connection
from app.resources import Resources
from loadtests.crowd.people import DOMAIN, PASSWORD, email
from loadtests.people import Connection, Maker, Town, batches, copy, known_exercises

PUBLIC_EVERY = 10
"""One in so many people lets everybody read their plan."""
NUMBERED = ("training_session_exercises", "training_session_sets")

_PUBLISH = "UPDATE training_plans SET sharing_status = 'public' WHERE created_by = ANY($1)"
_COUNT = "SELECT count(*) FROM user_account WHERE email LIKE '%@' || $1"
_RESERVE = "SELECT setval(sequence, nextval(sequence) + $2) - $2 FROM pg_get_serial_sequence($1, 'id') AS sequence"


async def seed(connection: Connection, town: Town, password: str) -> None:
    """Bring a town into the database, triggers and checks included.

    Args:
        connection: in a transaction.
        town: how many there are of what.
        password: the hash of everybody's password.
    """
    await connection.execute("SET LOCAL statement_timeout = 0")
    role = await connection.fetchval("SELECT id FROM role WHERE slug = 'application-access'")
    maker = Maker(town, await known_exercises(connection), role)
    accounts = [(user, f"Person {number}", email(number), password, role) for number, user in enumerate(maker.users)]
    await copy(connection, {"user_account": accounts})
    for user in maker.users:
        await copy(connection, maker.possessions(user))
    # Others may be writing at this moment: the numbers that we use are taken first.
    numbers = [await connection.fetchval(_RESERVE, table, 2 * town.sets) for table in NUMBERED]
    for rows, _ in batches(maker.sessions(*numbers), maker.users[0]):
        await copy(connection, rows)
    await connection.execute(_PUBLISH, maker.users[::PUBLIC_EVERY])


def main() -> int:
    """Seed from the command line.

    Returns:
        0 when the people are there, now or already.
    """
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".irontrack"), help="the data folder of the service")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--sessions", type=int, default=50, help="of each user, with 5 exercises of 3 sets")
    options = parser.parse_args()
    sessions = options.users * options.sessions
    town = Town(users=options.users, sessions=sessions, own=options.sessions, sets=sessions * 15)

    async def work(resources: Resources) -> int:
        async with resources.transactions.begin() as session:
            connection = await raw_connection(session)
            if there := int(await connection.fetchval(_COUNT, DOMAIN)):
                return there
            await seed(connection, town, await resources.passwords.hash(PASSWORD))
        async with resources.reader.connection() as reading:
            await reading.execute("ANALYZE")
        return 0

    began = time.monotonic()
    try:
        there = run_with_resources(options.data, "loadtests.seed", work)
    except (click.ClickException, asyncpg.PostgresError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if there:
        print(f"{there} people are there already.")
        return 0 if there == options.users else 1
    print(f"{options.users} people with {sessions:,} sessions, in {time.monotonic() - began:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
