# `just` lists what there is to do; each recipe is one command that can be typed as well.

# What stands in quotes at the prompt stays one argument.
set positional-arguments

uv := "python3 -m uv"

[private]
default:
    @just --list

# install the dependencies, and the hooks that run before each commit
install:
    {{ uv }} sync
    {{ uv }} run pre-commit install

# start everything: PostgreSQL, Valkey and the service
up *options:
    {{ uv }} run litestar up "$@"

# stop what `up` started
down:
    {{ uv }} run litestar down

# start PostgreSQL and Valkey in containers, for those who want them there
infra-up:
    docker compose --file infra/compose.development.yml up --detach --wait

# stop them; their data stay
infra-down:
    docker compose --file infra/compose.development.yml down

# the production stack as plain processes: `just stack up`, `status`, `reload`, `down`
stack *options:
    {{ uv }} run litestar stack "$@"

# the files that the containers of compose.yml mount, from infra/templates
stack-files:
    {{ uv }} run litestar stack files containers

# the secrets of the containers, as files; what follows from others is brought in step with them
stack-secrets folder="./secrets":
    {{ uv }} run litestar stack secrets {{ folder }}

# after a new password of PgBouncer in the containers: tell both sides
pgbouncer-sync folder="./secrets": (stack-secrets folder)
    IRONTRACK_SECRETS={{ folder }} docker compose exec postgres /docker-entrypoint-initdb.d/roles.sh
    IRONTRACK_SECRETS={{ folder }} docker compose kill --signal HUP pgbouncer

# a new password of the application's role in the containers, while they run; PostgreSQL hears of it first
database-password folder="./secrets":
    #!/bin/sh
    set -eu
    export IRONTRACK_SECRETS="{{ folder }}"
    new=$(python3 -c 'import secrets; print(secrets.token_urlsafe(24))')
    printf %s "$new" | docker compose exec --no-TTY postgres /docker-entrypoint-initdb.d/roles.sh new
    printf %s "$new" > "{{ folder }}/database_password"

# a dump of the database, verified by restoring it
backup file *options:
    {{ uv }} run litestar database {{ options }} backup {{ file }}

# one worker for development, loaded anew when the code changes
run *options:
    {{ uv }} run litestar run "$@"

# roles and catalogue
seed:
    {{ uv }} run litestar roles create
    {{ uv }} run litestar catalogue seed

# a new signing key, as a JWK on the standard output
gen-key:
    @{{ uv }} run litestar keys generate

# a new migration from what the models say
migration message:
    {{ uv }} run litestar database make-migrations --message "{{ message }}"

# bring the code into shape
fix:
    {{ uv }} run ruff check --fix .
    {{ uv }} run ruff format .

# what has to hold before a commit
lint:
    {{ uv }} run ruff check .
    {{ uv }} run ruff format --check .
    {{ uv }} run mypy

# the tests, or some of them: `just test tests/http -k etag`
test *options:
    {{ uv }} run pytest "$@"

# each part of the production stack is killed so many times under load
kills times="200":
    KILLS={{ times }} {{ uv }} run pytest -n 0 -s tests/stack/test_kills.py

# what a request costs, compared with a bare handler
bench *options:
    {{ uv }} run python -m loadtests.bench "$@"

# what other people's exercises cost a search
search-bench *options:
    {{ uv }} run python -m loadtests.search "$@"

# that what has ended is refused by both workers: under load, after a silence, whatever Valkey does
trials *options:
    {{ uv }} run python -m loadtests.trials "$@"

# what a long history costs among many: two databases, one with 5 million sets, compared
scale *options:
    {{ uv }} run python -m loadtests.scale "$@"

# how long an archive of 5,000 files takes to import
import-bench *options:
    {{ uv }} run python -m loadtests.imports "$@"

# what the summary of 50,000 runs costs, compared with that of 50
runs-bench *options:
    {{ uv }} run python -m loadtests.runs "$@"

# people for `load`, in the database of a service: `just load-seed --data .irontrack --users 200`
load-seed *options:
    {{ uv }} run python -m loadtests.seed "$@"

# a crowd at work, against a running service: `just load --host unix:///run/node.sock --users 100 --run-time 5m`
load *options:
    {{ uv }} run locust --config loadtests/locust.conf "$@"

# requests at a constant rate, with latencies from when they were to be sent: `just open-loop URL --path … --rate …`
open-loop *options:
    {{ uv }} run python -m loadtests.openloop "$@"

# a command on a weaker machine: two cores of half the speed, a disk of 7200 rpm: `just weakbox litestar stack up`
weakbox *command:
    {{ uv }} run python -m loadtests.weakbox "$@"

# what the stack carries, normal and weak: `just report run --again` measures, `just report render` writes REPORT.md
report *options="render":
    {{ uv }} run python -m loadtests.report {{ options }}

# the dependencies with their hashes, for installations without uv
lock:
    {{ uv }} export --quiet --no-dev --no-header --no-annotate --output-file requirements.lock

# the files of the catalogue, in the one shape that an export has
catalogue:
    {{ uv }} run python -m tests.catalogue.test_data

# the table of settings in README.md
readme:
    {{ uv }} run python -m tests.test_readme

# all that the continuous integration does
ci:
    .ci/run
