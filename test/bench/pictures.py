"""Pictures of a result, drawn by gnuplot: the phases of a start, and the growth of the verbs."""
import os
import subprocess

import machine

# Legible on a white and on a dark page: the picture has a background of its own.
HEAD = """set terminal svg size {width},{height} font 'sans-serif,12' background rgb 'white'
set output '{path}'
set border 3 lc rgb '#888888'
set tics nomirror textcolor rgb '#333333'
set grid xtics ytics lc rgb '#dddddd' lt 1 lw 0.5
"""
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#b8860b", "#6a4c93", "#3d5a80", "#c05a1c")


def gnuplot(script):
    subprocess.run([machine.program("gnuplot"), "-"], input=script, text=True, check=True,
                   timeout=machine.LIMIT)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def draw_phases(path, starts):
    """A panel for each kernel and way; a bar for each phase, in the order of their beginning, but
    those of less than a thousandth of the whole."""
    starts = [{**s, "steps": [step for step in s["steps"]
                              if step["end"] - step["begin"] >= s["wall"] / 1000]} for s in starts]
    starts = [s for s in starts if s["steps"]]
    if not starts:
        return
    lines = [len(s["steps"]) for s in starts]
    height = 18 * sum(lines) + 90 * len(starts)
    script = HEAD.format(width=900, height=height, path=path)
    script += "set multiplot\nunset key\nset lmargin at screen 0.2\nset rmargin at screen 0.96\n"
    top = height
    for start, n in zip(starts, lines):
        bottom = top - 18 * n - 40
        script += (f"set tmargin at screen {(top - 30) / height:.4f}\n"
                   f"set bmargin at screen {(bottom - 10) / height:.4f}\n")
        top = bottom - 50
        script += (f"set title {quoted(panel_title(start))} offset 0,-0.6\n"
                   f"set xlabel 'ms since the command began' offset 0,0.6\n"
                   f"set xrange [0:{start['wall'] * 1.06:.1f}]\nset yrange [{n - 0.3}:-0.7]\n"
                   "set ytics (" + ", ".join(
                       f"{quoted(s['process'] + ': ' + s['phase'])} {i}"
                       for i, s in enumerate(start["steps"])) + ")\nunset label\nunset object\n")
        for i, step in enumerate(start["steps"]):
            colour = COLOURS[0] if step["process"] == "verb" else COLOURS[1]
            begin, end = step["begin"], step["end"]
            script += (f"set object rectangle from {begin},{i - 0.32} to {end},{i + 0.32} "
                       f"fc rgb '{colour}' fs solid noborder\n"
                       f"set label '{end - begin:.1f}' at {end},{i} offset 0.4,0 "
                       "font ',9' textcolor rgb '#555555'\n")
        script += "plot NaN notitle\n"
    gnuplot(script + "unset multiplot\n")


def panel_title(start):
    return f"run true, {start['way']}, kernel {start['flavour']}: {start['wall']:.0f} ms"


def draw_growth(path, growths):
    """A panel for each kind, the CPU time of each verb as a multiple of that at the first point."""
    if not growths:
        return
    script = HEAD.format(width=900, height=380, path=path)
    script += f"set multiplot layout 1,{len(growths)}\nset key top left font ',10'\n"
    for growth in growths:
        series = [(verb, points) for verb, points in growth["cpu"].items() if verb != "delete"]
        for number, (_, points) in enumerate(series):
            first = points[0]["median"]
            script += f"$data{number} << END\n" + "".join(
                f"{p['n']} {p['median'] / first} {p['q1'] / first} {p['q3'] / first}\n"
                for p in points) + "END\n"
        high = max(p["q3"] / points[0]["median"] for _, points in series for p in points)
        script += (f"set title 'CPU time beside other {growth['of']}'\n"
                   f"set xlabel '{growth['of']}'\nset ylabel 'times that of the first point'\n"
                   f"set xrange [0:{series[0][1][-1]['n'] * 1.05}]\n"
                   f"set yrange [0:{max(high, 1.3) * 1.3:.2f}]\nplot " + ", ".join(
                       f"$data{number} using 1:2:3:4 with yerrorlines lw 1.5 pt 7 ps 0.5 "
                       f"lc rgb '{COLOURS[number % len(COLOURS)]}' title "
                       f"{quoted('%s (%.1f ms)' % (verb, points[0]['median']))}"
                       for number, (verb, points) in enumerate(series)) + "\n")
    gnuplot(script + "unset multiplot\n")


def draw(result, directory):
    os.makedirs(directory, exist_ok=True)
    draw_phases(os.path.join(directory, "phases.svg"), result["phases"])
    draw_growth(os.path.join(directory, "growth.svg"), result["growth"])
