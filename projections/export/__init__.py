"""The log as other programs read it: beancount, hledger, CSV and JSON lines."""
