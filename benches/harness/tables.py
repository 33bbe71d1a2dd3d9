"""Markdown tables."""


def show(title, columns, rows):
    """Prints a table. The first column is text, the others are right-aligned."""
    print(f'\n{title}\n' if title else '')
    print('| ' + ' | '.join(columns) + ' |')
    print('| --- |' + ' ---: |' * (len(columns) - 1))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |', flush=True)


def ratio(value, limit):
    return f'{value / limit:.2f}' if limit else '–'
