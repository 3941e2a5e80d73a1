/* Something to profile: nearly all of its time goes to one function. */
static volatile unsigned long sum;

__attribute__((noinline)) static void busy(void)
{
	for (unsigned long i = 0; i < 60000000; i++)
		sum += i;
}

int main(void)
{
	busy();
	return 0;
}
