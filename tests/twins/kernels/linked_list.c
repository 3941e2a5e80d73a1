/* A list of objects that is built, walked and reversed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    long value;
    struct node *next;
};

__attribute__((noipa)) static long walk(const struct node *node)
{
    long total = 0;
    for (; node; node = node->next)
        total += node->value;
    return total;
}

__attribute__((noipa)) long run(long rounds)
{
    struct node *head = NULL;
    for (long value = 0; value < 500; value++) {
        struct node *node = malloc(sizeof *node);
        node->value = value;
        node->next = head;
        head = node;
    }
    long total = 0;
    for (long round = 0; round < rounds; round++)
        total += walk(head);
    return total;
}

int main(void)
{
    printf("%ld\n", run(400));
    return 0;
}
