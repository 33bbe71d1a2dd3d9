"""Markdown tables."""


def show(columns, rows):
    """Prints a table. The first column is text, the others are right-aligned."""
    print('\n| ' + ' | '.join(columns) + ' |')
    print('| --- |' + ' ---: |' * (len(columns) - 1))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |', flush=True)


def ratio(value, limit):
    return f'{value / limit:.2f}' if limit else '–'
