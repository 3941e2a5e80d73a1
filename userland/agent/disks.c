/*
 * Which disk is meant by LABEL=, UUID=, PARTLABEL= or PARTUUID=, as the kernel's root= has them: the superblock of ext2,
 * ext3 and ext4, and the partition tables of GPT and of the MBR. Also IN=/dev/DISK: the root file system on a disk, with
 * partitions or without. Of several, that in a partition whose type says so (Discoverable Partitions Specification), or
 * the largest.
 */
#define _GNU_SOURCE
#include "agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT 80
#define ROOT_TYPE "4f68bce3-e8cd-4db1-96e7-fbcaf984b709" /* the root file system, for x86-64 */

enum {
	SUPERBLOCK = 1024, SUPERBLOCK_MAGIC = 56, SUPERBLOCK_UUID = 104, SUPERBLOCK_LABEL = 120,
	MBR_SIGNATURE = 440, MBR_MAGIC = 510,
	GPT_ENTRIES = 72, GPT_ENTRY_SIZE = 84, ENTRY_UUID = 16, ENTRY_NAME = 56,
};

/* The names of one disk or partition; one that it does not have is empty. */
struct names {
	char label[TEXT], uuid[TEXT], partition_label[TEXT], partition_uuid[TEXT], partition_type[TEXT];
};

static bool read_at(int disk, void *data, size_t size, off_t offset)
{
	return pread(disk, data, size, offset) == (ssize_t)size;
}

static uint32_t number_at(const unsigned char *data)
{
	return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

/* Sixteen bytes as text. GPT has the first three groups with the lowest byte first. */
static void write_uuid(char *text, const unsigned char *bytes, bool is_gpt)
{
	static const unsigned char swapped[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

	for (int i = 0; i < 16; i++)
		text += sprintf(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[is_gpt ? swapped[i] : i]);
}

static void read_superblock(int disk, struct names *names)
{
	unsigned char block[256];

	if (!read_at(disk, block, sizeof block, SUPERBLOCK) || block[SUPERBLOCK_MAGIC] != 0x53 || block[SUPERBLOCK_MAGIC + 1] != 0xEF)
		return;
	snprintf(names->label, TEXT, "%.16s", block + SUPERBLOCK_LABEL);
	write_uuid(names->uuid, block + SUPERBLOCK_UUID, false);
}

/* What the table of a whole disk says of its partition with this number. */
static void read_table(int disk, int number, struct names *names)
{
	unsigned char table[512], entry[128];
	int sector = 512;

	if (!read_at(disk, table, sizeof table, 0) || table[MBR_MAGIC] != 0x55 || table[MBR_MAGIC + 1] != 0xAA)
		return;
	snprintf(names->partition_uuid, TEXT, "%08x-%02x", number_at(table + MBR_SIGNATURE), (unsigned)number);
	ioctl(disk, BLKSSZGET, &sector);
	if (!read_at(disk, table, sizeof table, sector) || memcmp(table, "EFI PART", 8) != 0)
		return;
	off_t place = (off_t)number_at(table + GPT_ENTRIES) * sector + (off_t)(number - 1) * number_at(table + GPT_ENTRY_SIZE);
	if (!read_at(disk, entry, sizeof entry, place))
		return;
	write_uuid(names->partition_type, entry, true);
	write_uuid(names->partition_uuid, entry + ENTRY_UUID, true);
	for (int i = 0; i < 36; i++) { /* UTF-16: names that are not ASCII cannot be asked for */
		names->partition_label[i] = (char)(entry[ENTRY_NAME + 2 * i + 1] ? '?' : entry[ENTRY_NAME + 2 * i]);
		if (!names->partition_label[i])
			break;
	}
}

static bool is_digit(char c)
{
	return '0' <= c && c <= '9';
}

/* vda1 is partition 1 of vda, loop0p1 of loop0. */
static void read_names(int devices, const char *name, int disk, struct names *names)
{
	char whole[64];
	size_t length = strlen(name);

	memset(names, 0, sizeof *names);
	read_superblock(disk, names);
	while (length > 0 && is_digit(name[length - 1]))
		length--;
	if (length == 0 || !name[length])
		return;
	int number = atoi(name + length);
	if (length > 1 && name[length - 1] == 'p' && is_digit(name[length - 2]))
		length--;
	snprintf(whole, sizeof whole, "%.*s", (int)length, name);
	int table = openat(devices, whole, O_RDONLY | O_CLOEXEC);
	if (table >= 0) {
		read_table(table, number, names);
		close(table);
	}
}

static bool is_meant(const struct names *names, const char *kind, size_t length, const char *value)
{
	static const char *const kinds[] = {"LABEL", "UUID", "PARTLABEL", "PARTUUID"};
	const char *const texts[] = {names->label, names->uuid, names->partition_label, names->partition_uuid};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strlen(kinds[i]) == length && strncmp(kinds[i], kind, length) == 0) {
			bool is_uuid = i % 2 == 1; /* in whatever case */
			return *value && (is_uuid ? strcasecmp(texts[i], value) : strcmp(texts[i], value)) == 0;
		}
	return false;
}

/* One that can be read; its size in bytes, and its descriptor, or -1. */
static int open_disk(int devices, const char *name, uint64_t *bytes)
{
	struct stat file;
	int disk;

	*bytes = 0;
	if (fstatat(devices, name, &file, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISBLK(file.st_mode))
		return -1;
	if ((disk = openat(devices, name, O_RDONLY | O_CLOEXEC)) < 0)
		return -1;
	if (ioctl(disk, BLKGETSIZE64, bytes) == 0 && *bytes > 0)
		return disk;
	close(disk);
	return -1;
}

static void list_disk(char *others, size_t size, const char *name, uint64_t bytes)
{
	size_t used = strlen(others);

	snprintf(others + used, size - used, " %s (%llu MiB)", name, (unsigned long long)bytes >> 20);
}

static const char *find_root(const char *whole, char *place, size_t size, char *others, size_t others_size)
{
	const char *name = whole + strlen("/dev/");
	uint64_t bytes, best_bytes = 0;
	bool is_best_typed = false;
	struct dirent *entry;
	DIR *devices = opendir("/dev");

	*others = 0;
	while (devices && (entry = readdir(devices))) {
		struct names names;

		if (strncmp(entry->d_name, name, strlen(name)) != 0)
			continue;
		int disk = open_disk(dirfd(devices), entry->d_name, &bytes);
		if (disk < 0)
			continue;
		list_disk(others, others_size, entry->d_name, bytes);
		read_names(dirfd(devices), entry->d_name, disk, &names);
		close(disk);
		bool is_typed = strcmp(names.partition_type, ROOT_TYPE) == 0;
		if (!*names.uuid || is_typed < is_best_typed || (is_typed == is_best_typed && bytes <= best_bytes))
			continue; /* not one of ext2, ext3 and ext4; or another one fits better */
		best_bytes = bytes;
		is_best_typed = is_typed;
		snprintf(place, size, "/dev/%s", entry->d_name);
	}
	if (devices)
		closedir(devices);
	return best_bytes ? place : NULL;
}

const char *find_disk(const char *wanted, char *place, size_t size, char *others, size_t others_size)
{
	const char *equals = strchr(wanted, '=');
	bool is_found = false;
	struct dirent *entry;
	DIR *devices;

	if (*wanted == '/' || !equals)
		return wanted;
	if (strncmp(wanted, "IN=/dev/", 8) == 0)
		return find_root(equals + 1, place, size, others, others_size);
	*others = 0;
	devices = opendir("/dev");
	while (devices && !is_found && (entry = readdir(devices))) {
		struct names names;
		uint64_t bytes;
		int disk = open_disk(dirfd(devices), entry->d_name, &bytes);

		if (disk < 0)
			continue;
		list_disk(others, others_size, entry->d_name, bytes);
		read_names(dirfd(devices), entry->d_name, disk, &names);
		is_found = is_meant(&names, wanted, (size_t)(equals - wanted), equals + 1);
		close(disk);
		if (is_found)
			snprintf(place, size, "/dev/%s", entry->d_name);
	}
	if (devices)
		closedir(devices);
	return is_found ? place : NULL;
}
