# Login shells, as terminals in JupyterLab are: /etc/profile has just set PATH anew, without the image's Python.
case :$PATH: in
*:/opt/venv/bin:*) ;;
*) PATH=/opt/venv/bin:$PATH ;;
esac
