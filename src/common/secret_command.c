/*
 * secret_command.c
 *	  Reading a root key or a PIN from a command's output.
 *
 * The shell runs the command as the server's user, as it does with
 * ssl_passphrase_command, in a process group of its own.
 *
 * Invariants:
 * - The session waits until the command has ended, has taken longer than
 *   key_vault.command_timeout, or the session is interrupted.  It does not wait for
 *   other processes that the command has started, even if they still have its output
 *   open.
 * - On every way out the command's process group is killed and the command is reaped;
 *   after a failure, what was read of its output is wiped.
 * - If the session is interrupted, the interrupt is raised unchanged: it is no fault of
 *   the command.
 * - The postmaster runs no command.
 */
#include "postgres.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/wait.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "../crypto/secure_memory.h"
#include "errors.h"
#include "secret_command.h"

/*
 * How long to wait before looking again whether the command has ended, in
 * milliseconds: the first time, and at most.  A latch cannot wait for the end of a
 * process, only for its output.
 */
#define FIRST_LOOK 1
#define LAST_LOOK 100

/* How long to wait for the end of a command that was killed, in milliseconds. */
#define PATIENCE 1000

double		secret_command_timeout = 60;

typedef struct Command
{
	pid_t		pid;			/* of the shell, whose process group has the
								 * same number; 0: not running */
	int			output;			/* file descriptor; -1: closed */
	char	   *text;			/* what the command wrote */
	size_t		size;			/* of the memory for text, in bytes */
	size_t		len;			/* of what the command wrote, in bytes */
	bool		is_done;		/* the text is to be kept */
} Command;

typedef enum CommandEnd
{
	COMMAND_ENDED,
	COMMAND_TIMED_OUT,
	COMMAND_WROTE_TOO_MUCH
} CommandEnd;

/* Runs in the child, so it calls only what a signal handler may call. */
static void
become_command(const char *command, int output, pid_t parent)
{
	struct sigaction by_default = {.sa_handler = SIG_DFL};
	sigset_t	none;
	int			input;

	setpgid(0, 0);
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		sigaction(signal_number, &by_default, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

#ifdef __linux__
	/* If the backend is killed, the kernel kills the command. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
#endif

	input = open("/dev/null", O_RDONLY);
	if (input < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0)
		_exit(127);
	closefrom(STDERR_FILENO + 1);
	execl("/bin/sh", "sh", "-c", command, (char *) NULL);
	_exit(127);
}

/* Starts the command; false, with errno, if that fails. */
static bool
start(Command *command, const char *shell_command)
{
	pid_t		backend = getpid();
	int			ends[2];
	sigset_t	all;
	sigset_t	before;
	pid_t		pid;
	int			error;

	if (pipe(ends) < 0)
		return false;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);

	/* No signal handler of the backend may run in the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become_command(shell_command, ends[1], backend);
	error = errno;
	if (pid > 0)
	{
		/* The child does the same: either of them may come first. */
		setpgid(pid, pid);
		command->pid = pid;
		command->output = ends[0];
	}
	sigprocmask(SIG_SETMASK, &before, NULL);

	close(ends[1]);
	if (pid < 0)
		close(ends[0]);
	errno = error;
	return pid > 0;
}

static void
close_output(Command *command)
{
	if (command->output >= 0)
		close(command->output);
	command->output = -1;
}

/* Whether the command has ended.  It is not reaped yet, so nobody else gets its pid. */
static bool
has_ended(const Command *command)
{
	siginfo_t	info = {0};

	return waitid(P_PID, command->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		info.si_pid == command->pid;
}

/* Kills the process group; returns the command's wait status, or -1 if it has none. */
static int
end_group(Command *command)
{
	int			status = -1;
	pid_t		pid = command->pid;

	if (pid == 0)
		return -1;
	command->pid = 0;
	kill(-pid, SIGKILL);

	/* A process that hangs in the kernel must not keep the session waiting. */
	for (int waited = 0; waited < PATIENCE; waited++)
	{
		pid_t		reaped = waitpid(pid, &status, WNOHANG);

		if (reaped == pid)
			return status;
		if (reaped < 0 && errno != EINTR)
			break;
		pg_usleep(1000L);
	}
	return -1;
}

/* Runs at the end, after an error, and when the backend exits. */
static void
clean_up(int code, Datum arg)
{
	Command    *command = (Command *) DatumGetPointer(arg);

	close_output(command);
	(void) end_group(command);
	if (!command->is_done)
		secure_wipe(command->text, command->size);
}

/* Reads what there is; true at the output's end, or if there is no room for more. */
static bool
read_output(Command *command)
{
	while (command->len < command->size)
	{
		ssize_t		got = read(command->output, command->text + command->len,
							   command->size - command->len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return false;
		if (got <= 0)
			return true;
		command->len += got;
	}
	return true;
}

/* How many milliseconds to wait before the next look; 0 if the time is up. */
static long
time_to_wait(TimestampTz end, long look)
{
	long		left;

	if (end == 0)
		return look;
	left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
	return Min(left, look);
}

static CommandEnd
wait_for_end(Command *command)
{
	TimestampTz end = secret_command_timeout == 0 ? 0 :
	GetCurrentTimestamp() + (TimestampTz) ceil(secret_command_timeout * USECS_PER_SEC);
	long		look = FIRST_LOOK;

	for (;;)
	{
		/*
		 * This comes before the reading: if the command has ended,
		 * read_output() gets everything that it has written.
		 */
		bool		ended = has_ended(command);
		int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
		long		milliseconds;

		CHECK_FOR_INTERRUPTS();
		if (command->output >= 0 && read_output(command))
		{
			close_output(command);
			look = FIRST_LOOK;
		}
		if (command->len == command->size)
			return COMMAND_WROTE_TOO_MUCH;
		if (ended)
			return COMMAND_ENDED;
		milliseconds = time_to_wait(end, look);
		if (milliseconds <= 0)
			return COMMAND_TIMED_OUT;

		if (command->output >= 0)
			events |= WL_SOCKET_READABLE;
		if (WaitLatchOrSocket(MyLatch, events,
							  command->output >= 0 ? command->output : PGINVALID_SOCKET,
							  milliseconds, PG_WAIT_EXTENSION) & WL_LATCH_SET)
			ResetLatch(MyLatch);
		look = Min(look * 2, LAST_LOOK);
	}
}

/* Whether the command succeeded; notes an error if not. */
static bool
check_end(const char *what, const Command *command, CommandEnd end, int status,
		  DeferredError *error)
{
	static const char see_log[] = "What the command wrote to its standard error is in the server log.";

	switch (end)
	{
		case COMMAND_TIMED_OUT:
			return deferred_error_set(error, ERRCODE_ROOT_KEY_UNREADABLE,
									  psprintf("%s took longer than %g s", what, secret_command_timeout),
									  pstrdup("It was ended."),
									  psprintf("%s  The limit is key_vault.command_timeout.", see_log));
		case COMMAND_WROTE_TOO_MUCH:
			return deferred_error_set(error, ERRCODE_ROOT_KEY_MALFORMED,
									  psprintf("%s wrote too much", what),
									  psprintf("It wrote %zu bytes or more, and was ended.", command->size),
									  pstrdup("It must write one line, and nothing else, to its standard output."));
		case COMMAND_ENDED:
			break;
	}
	if (status != 0)
		return deferred_error_set(error, ERRCODE_ROOT_KEY_UNREADABLE,
								  psprintf("%s failed", what),
								  status == -1 ? NULL : wait_result_to_str(status),
								  pstrdup(see_log));
	return true;
}

bool
secret_command_read(const char *what, const char *shell_command, char *text, size_t size,
					size_t *len, DeferredError *error)
{
	Command		command = {.output = -1,.text = text,.size = size};
	CommandEnd	end;
	int			status;

	if (IsPostmasterEnvironment && !IsUnderPostmaster)
		elog(ERROR, "the postmaster runs no command for a root key or a PIN");

	PG_ENSURE_ERROR_CLEANUP(clean_up, PointerGetDatum(&command));
	{
		if (!start(&command, shell_command))
		{
			char	   *reason = psprintf("%s.", strerror(errno));

			(void) deferred_error_set(error, ERRCODE_ROOT_KEY_UNREADABLE,
									  psprintf("could not run the %s", what), reason, NULL);
		}
		else
		{
			end = wait_for_end(&command);
			status = end_group(&command);
			command.is_done = check_end(what, &command, end, status, error);
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(clean_up, PointerGetDatum(&command));

	clean_up(0, PointerGetDatum(&command));
	*len = command.len;
	return command.is_done;
}
