"""Programs and scripts whose behaviour on Krait must equal their behaviour on Linux in the same virtual machine."""
