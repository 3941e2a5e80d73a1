/* A plug-in of GNU make (its manual, chapter "Extending GNU make"): lets `make run CMD=…` exit as the command did.
 *
 * make itself answers whatever fails with 2. $(status-file PREFIX) names a file; if a recipe has left a number in it when make
 * ends, make exits with that number. The name holds make's process number, so that makes beside each other keep apart.
 */
#include <gnumake.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int plugin_is_GPL_compatible; /* make looks for this name before it calls us */

static char path[256];

static void exit_as_told(void)
{
	int status;
	FILE *file = fopen(path, "r");

	if (!file)
		return;
	if (fscanf(file, "%d", &status) != 1)
		status = 2; /* it could not be written: the disk is full */
	fclose(file);
	unlink(path);
	fflush(NULL);
	_exit(status);
}

static char *status_file(const char *name, unsigned count, char **arguments)
{
	(void)name, (void)count;
	snprintf(path, sizeof path, "%s.%d", arguments[0], (int)getpid());
	unlink(path); /* of an earlier make that was killed, and had our number */
	char *text = gmk_alloc(sizeof path);

	return strcpy(text, path);
}

int make_status_gmk_setup(const gmk_floc *place)
{
	(void)place;
	gmk_add_function("status-file", status_file, 1, 1, GMK_FUNC_DEFAULT);
	return atexit(exit_as_told) == 0;
}
