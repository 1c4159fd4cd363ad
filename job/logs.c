#include "job/job.h"
int verb_logs(int argc, char **argv, struct err *e)
{
	return err_set(e, 38, "logs", "soon");
}
