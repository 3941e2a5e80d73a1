"""hugetlbfs: files whose memory consists of huge pages, with names or without (memfd_create(2))."""
