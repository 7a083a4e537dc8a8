"""Failures a person at the terminal can act on.

LocalFailure
├── access.KeyNotKnown               a service has not learnt of a key in time
├── accounts.NoUnprivilegedAccount   PostgreSQL does not run as root, and there is nobody to run it
├── api.Refused                      a service answered with an error
├── checks.UnknownPart               no tests go by this name
├── demo.DemoFailed                  something that should have happened did not, in time
├── detached.UpFailed                a detached `up` ended before it was ready
├── directory.NotADirectory          the file does not hold agencies
├── embedded.DidNotStart             a server of the tests ended while it started
├── jars.JarsUnavailable             Kafka's jars cannot be had
├── kafka.KafkaFailed                Kafka could not be prepared
├── options.OptionRefused            the command line asks for something that cannot be
├── ports.NoFreePort
├── postgres.PostgresFailed          PostgreSQL could not be prepared
├── provision.NotProvisioned         the sample data could not be loaded
├── rules.RulesUnreadable            the file is not there, or holds no rules
├── services.UnknownService          an id or a group names no service
├── replay.NotReplayable             nothing of ours would come again
├── servers.ServerUnavailable        a server named by the environment does not answer
├── state.AlreadyRunning, state.NotRunning
├── supervisor.ProgramFailed         a program ended, or stayed silent, while the system started
└── test_clock.ClockRefused          the clock goes forward only

Rule: its message says what is wrong and what would help, and is all the person sees: no traceback.
"""


class LocalFailure(Exception):
    """The message is for a person."""
